import { describe, expect, test } from "vitest";
import { compareWithPublished, publishedLines } from "../../reports/published.js";
import { accuracyCsv, readAccuracyCsv } from "../../results/csv.js";
import type { CompletedCell } from "../../results/schema.js";
import { completedCell, failedCell } from "../results/examples.js";

const portable = { name: "portable", version: "1" };
const cellOf = (seed: number, engine: CompletedCell["config"]["engine"] = portable) =>
  completedCell({ seed, engine }, 0.8 + seed / 100);
const cells = [cellOf(0), cellOf(1), cellOf(2)];
const published = accuracyCsv(cells);

/** A cell of the published run, changed. */
function changed(change: (cell: CompletedCell) => void): CompletedCell[] {
  const cell = cellOf(1);
  change(cell);
  return [cellOf(0), cell, cellOf(2)];
}
const kindsOf = (results: CompletedCell[]) =>
  compareWithPublished(published, results).groups.map(({ kind, differences }) => [
    kind,
    ...differences.map(({ column }) => column),
  ]);
const textOf = (results: Parameters<typeof compareWithPublished>[1]) =>
  publishedLines(compareWithPublished(published, results), "results/x/accuracy.csv")
    .map(({ text }) => text)
    .join("\n");

test("a table is read as it was written", () => {
  const rows = readAccuracyCsv(published);
  expect(rows).toHaveLength(3);
  expect(rows[1]).toMatchObject({ seed: "1", deployed_accuracy: "0.810000", engine: "portable 1" });
  expect(rows[1]).toMatchObject({ integers_accuracy: "0.810000", litert_accuracy: "" });
});

describe("of the same version, trained by the portable engine,", () => {
  test("equal numbers are counted", () => {
    const { equal, compared, groups } = compareWithPublished(published, cells);
    expect(groups).toEqual([]);
    expect(equal).toBe(compared);
    // state, three accuracies, agreement, distance, loss, hash, three sizes, the integer reference
    expect(compared).toBe(3 * 12);
    expect(textOf(cells)).toContain("36 of 36 are equal, digit for digit");
  });

  test("a simulated accuracy, a hash and portable runtimes must be equal", () => {
    const other = changed((cell) => {
      cell.accuracy.simulated += 0.0001;
      cell.weightHash = "dead";
      cell.runtimes["integers"] = { ...cell.runtimes["onnxruntime"], accuracy: 0.5 } as never;
    });
    expect(kindsOf(other)).toEqual([
      ["fault", "simulated_accuracy", "weight_hash", "integers_accuracy"],
    ]);
    expect(textOf(other)).toMatch(
      /3 differ: portable 1 and WebAssembly must give the same.*\n.*seed 1: simulated accuracy 81\.01 %, here 81\.02 %/,
    );
    expect(textOf(other)).not.toContain("all that must be");
  });

  test("what native onnxruntime computes may differ, with the reason", () => {
    const other = changed((cell) => {
      cell.accuracy.deployed -= 0.01;
      cell.agreement.share = 0.98;
      cell.agreement.largestDifference = 3;
    });
    expect(kindsOf(other)).toEqual([
      ["expected", "deployed_accuracy", "agreement", "largest_logit_difference"],
    ]);
    expect(textOf(other)).toMatch(/33 of 36 are equal, among them all that must be/);
    expect(textOf(other)).toMatch(/3 differ: on native onnxruntime, whose kernels depend/);
  });

  test("a number that is missing here is a difference", () => {
    const other = changed((cell) => {
      cell.runtimes["integers"] = { failed: "out of memory" };
    });
    expect(kindsOf(other)).toEqual([["fault", "integers_accuracy"]]);
    expect(textOf(other)).toContain("integers accuracy 81.00 %, here none");
  });
});

test("another engine's numbers are expected to differ, and how far is said", () => {
  const native = { name: "onnxruntime", version: "1.30.0" };
  const others = [0, 1, 2].map((seed) => ({
    ...completedCell({ seed, engine: native }, 0.9 + seed / 100),
    weightHash: "other",
  }));
  expect(new Set(kindsOf(others).map(([kind]) => kind))).toEqual(new Set(["expected"]));
  expect(textOf(others)).toMatch(
    /12 differ: onnxruntime 1\.30\.0 trained here, portable 1 what is published\n +accuracies are 10\.00 points apart in the median; most: lsq on onnxruntime/,
  );
});

test("another version says nothing of this one, nor does what failed", () => {
  const { hyperparameters } = completedCell().config;
  const other = completedCell(
    { seed: 0, engine: portable, hyperparameters: { ...hyperparameters, batchSize: 16 } },
    0.7,
  );
  expect(kindsOf([other])).toEqual([
    ["stale", "simulated_accuracy", "deployed_accuracy", "integers_accuracy"],
  ]);
  expect(textOf([other])).toMatch(/2 cells that are published were not run/);
  const newer = { ...cellOf(0, { ...portable, version: "2" }), weightHash: "other" };
  expect(kindsOf([newer])).toEqual([["stale", "weight_hash"]]);
  const failed = { ...failedCell("no memory"), config: cellOf(0).config, id: cellOf(0).id };
  const { groups } = compareWithPublished(published, [failed]);
  expect(groups).toHaveLength(1);
  expect(groups[0]).toMatchObject({ kind: "stale", why: "the cell failed here" });
});

test("cells that are not published are counted, and what is no table is an error", () => {
  expect(textOf([...cells, cellOf(3)])).toContain("1 cells are not among the published");
  expect(() => compareWithPublished("a,b\n1,2\n", cells)).toThrow(/no column "model"/);
  expect(() => compareWithPublished('a,b\n1,"2\n', cells)).toThrow();
});
