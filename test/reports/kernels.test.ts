import { describe, expect, test } from "vitest";
import { missesGate } from "../../reports/cells.js";
import { deploymentIdentity, kernelNote, kernelParagraph } from "../../reports/kernels.js";
import { accuracyTables } from "../../reports/summary.js";
import { renderTerminal } from "../../reports/terminal.js";
import { accuracyCsv } from "../../results/csv.js";
import type { Deployment } from "../../results/deploymentSchema.js";
import { cellResultSchema, type CompletedCell } from "../../results/schema.js";
import { completedCell } from "../results/examples.js";

/** A cell of 10,000 test images. */
function deployed(overrides: Partial<Deployment>, seed = 0): CompletedCell {
  return {
    ...completedCell({ seed }),
    deployment: {
      runtime: "onnxruntime 1.30.0",
      instructionSet: "x64 avx2 fma",
      kernels: "shipped",
      saturates: true,
      changed: { byRounding: 3, byKernels: 230 },
      ...overrides,
    },
  };
}
const moved = deployed({});
const still = deployed({ changed: { byRounding: 3, byKernels: 0 } });
const unexplained = deployed({ saturates: false });

const MOVED =
  "this processor's u8·s8 kernels saturate: 2.30 % of predictions changed; 7-bit weights or precise kernels avoid it";

describe("a cell that saturation moved", () => {
  test("says so in the terminal and in the report's tables", () => {
    expect(renderTerminal([moved], 200)).toContain(`* lsq on onnxruntime: ${MOVED}`);
    const [table] = accuracyTables([moved]);
    expect(table?.rows[0]?.entries[0]?.note).toBe(MOVED);
  });

  test("says so on its page, with ties in rounding counted apart", () => {
    expect(kernelParagraph(moved)).toBe(
      "⚠ This processor's u8·s8 kernels saturate: 2.30 % of predictions changed; 7-bit weights or precise kernels avoid it (230 images). " +
        "Of 10000 predictions 3 differ from the simulation by ties in rounding, although all sums are right.",
    );
    expect(deploymentIdentity(moved)).toBe(
      "onnxruntime 1.30.0 on x64 avx2 fma, kernels as shipped, which saturate on this processor",
    );
  });

  test("says so in accuracy.csv", () => {
    const [head = "", row = ""] = accuracyCsv([moved]).split("\n");
    const value = (column: string) => row.split(",")[head.split(",").indexOf(column)];
    expect(value("changed_by_rounding")).toBe("3");
    expect(value("changed_by_kernels")).toBe("230");
    expect(value("kernels_saturate")).toBe("yes");
  });

  test("counts over all seeds", () => {
    expect(kernelNote([moved, { ...still, id: "1" }])).toContain(": 1.15 % of predictions changed");
  });
});

describe("no saturation is claimed", () => {
  test("where nothing changed, of results that do not know, and on precise kernels", () => {
    const { deployment: _, ...before } = moved;
    const precise = deployed({ kernels: "precise", changed: { byRounding: 3, byKernels: 0 } });
    for (const cell of [still, before, precise]) expect(kernelNote([cell])).toBeUndefined();
    expect(kernelParagraph(before)).toBeUndefined();
    expect(renderTerminal([still], 200)).not.toContain("saturate");
    expect(accuracyCsv([precise])).toMatch(/,3,0,no,/);
    expect(deploymentIdentity(precise)).toMatch(/precise kernels, which compute the same on every/);
  });

  test("where the probe found none, but what changed is told", () => {
    expect(kernelNote([unexplained])).toBe(
      "kernels as shipped change 2.30 % of predictions, and no saturation was found",
    );
  });
});

test("weights of seven bits are another network: what they lose, deployment did not", () => {
  const cell = completedCell();
  const low = {
    ...cell.runtimes["onnxruntime"],
    accuracy: 0.5,
  } as CompletedCell["runtimes"][string];
  expect(missesGate({ ...cell, runtimes: { ...cell.runtimes, onnxruntimeReduced: low } })).toBe(
    false,
  );
  expect(missesGate({ ...cell, runtimes: { ...cell.runtimes, onnxruntimePrecise: low } })).toBe(
    true,
  );
});

test("results say what they were deployed on, and older ones are read", () => {
  const { deployment: _, ...before } = moved;
  for (const cell of [moved, before]) expect(cellResultSchema.parse(cell)).toEqual(cell);
});
