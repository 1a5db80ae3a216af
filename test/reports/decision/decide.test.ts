import { describe, expect, test } from "vitest";
import { readStoredRun } from "../../../benchmarks/stored/index.js";
import { backendOf, isCompleted } from "../../../reports/cells.js";
import {
  candidatesOf,
  quantizingSeconds,
  type Candidate,
} from "../../../reports/decision/candidates.js";
import { decide } from "../../../reports/decision/decide.js";
import { standingOf, usabilityOf } from "../../../reports/decision/standing.js";
import type { Estimate } from "../../../reports/statistics/difference.js";
import type { CellConfig, CompletedCell } from "../../../results/schema.js";
import { RunDirectory } from "../../../results/store.js";
import { completedCell, failedCell } from "../../results/examples.js";

interface Example {
  readonly accuracies: readonly number[];
  readonly bits?: number;
  readonly bytes?: number;
  /** Latency over float's 0.25 ms. */
  readonly ratio?: number;
  readonly seconds?: number;
  readonly backend?: string;
}

/** Cells of one algorithm, a seed each. */
const cellsOf = (name: string, example: Example): CompletedCell[] =>
  example.accuracies.map((accuracy, seed) => {
    const { bits = 4, bytes = 12_000, ratio = 0.5, seconds = 1, backend = "academic" } = example;
    const config: Partial<CellConfig> = {
      algorithm: { name, version: 1 },
      backend: { name: backend, version: 1 },
      bits: { weights: bits, activations: bits },
      seed,
    };
    const cell = completedCell(config, accuracy);
    cell.runtimes = {};
    cell.weightHash = cell.id;
    cell.size.weightBytes = bytes;
    cell.measured.latency.quantized.medianMs = 0.25 * ratio;
    cell.measured.seconds = { "quantized training": seconds };
    return cell;
  });

const decisionOf = (...groups: (readonly CompletedCell[])[]) => {
  const cells = groups.flat();
  return decide(candidatesOf(cells, quantizingSeconds(cells)));
};
const nameOf = (candidate: Candidate | undefined) =>
  candidate && `${candidate.algorithm} ${candidate.bits}`;

const estimate = (points: number, standardError: number): Estimate => ({
  ...{ mean: points / 100, standardError: standardError / 100, degreesOfFreedom: Infinity },
  ...{ basis: "test images", seeds: 1, paired: true },
});

describe("how an accuracy stands to the best, within one point", () => {
  // The interval of 90 % is 1.645 standard errors on each side.
  test.each([
    [-0.3, 0.4, "equivalent"], // -0.96 to 0.36
    [-0.3, 0.45, "undecided"], // -1.04 to 0.44
    [-0.8, 0.1, "equivalent"], // -0.96 to -0.64: less, but by less than a point
    [-1.2, 0.2, "worse"], // -1.53 to -0.87
    [-4, 20, "undecided"], // -37 to 29: anything
  ] as const)("%f ± %f is %s", (points, standardError, expected) => {
    expect(standingOf(estimate(points, standardError))).toBe(expected);
    const wider = { equivalence: 0.1, usableLoss: 0.5 };
    expect(standingOf(estimate(10 * points, 10 * standardError), wider)).toBe(expected);
  });

  // Five points may be lost.
  test.each([
    [-4, 0.5, "usable"], // -4.8
    [-4, 1, "undecided"], // -5.6 to -2.4
    [-7, 1, "unusable"], // -8.6 to -5.4
  ] as const)("a change of %f ± %f against float is %s", (points, standardError, expected) => {
    expect(usabilityOf(estimate(points, standardError))).toBe(expected);
    // The same in other units: everything ten times as large.
    const wider = { equivalence: 0.1, usableLoss: 0.5 };
    expect(usabilityOf(estimate(10 * points, 10 * standardError), wider)).toBe(expected);
  });
});

describe("the decision", () => {
  test("of a tie is the cheapest: by size, then time to quantize", () => {
    const decision = decisionOf(
      cellsOf("wide", { accuracies: [0.88, 0.88], bytes: 24_000, seconds: 2 }),
      cellsOf("slow", { accuracies: [0.88, 0.88], seconds: 60 }),
      cellsOf("quick", { accuracies: [0.88, 0.88], seconds: 2 }),
    );
    expect(nameOf(decision?.recommended)).toBe("quick W4A4");
    expect(decision).toMatchObject({ tried: 3, equivalent: 3 });
    expect(decision?.front.map(nameOf)).toEqual(["quick W4A4"]);
  });

  test("does not turn on latencies that a busy machine would give to the same graph", () => {
    const decision = decisionOf(
      cellsOf("lsq", { accuracies: [0.866, 0.867], ratio: 1.99, seconds: 5 }),
      cellsOf("minMax", { accuracies: [0.8695, 0.8696], ratio: 2.16, seconds: 0.2 }),
    );
    expect(nameOf(decision?.recommended)).toBe("minMax W4A4");
    expect(decision?.front.map(nameOf)).toEqual(["minMax W4A4"]);
  });

  test("is not for the most accurate by two images of 10,000 at twice the size", () => {
    const decision = decisionOf(
      cellsOf("palquant", { accuracies: [0.8817, 0.8819], bytes: 24_000 }),
      cellsOf("lsq", { accuracies: [0.8815, 0.8817] }),
    );
    expect(nameOf(decision?.recommended)).toBe("lsq W4A4");
    expect(nameOf(decision?.best)).toBe("palquant W4A4");
    expect(decision?.front.map(nameOf)).toEqual(["lsq W4A4", "palquant W4A4"]);
  });

  test("is for eight bits where four lose more than the margin", () => {
    const decision = decisionOf(
      cellsOf("lsq", { accuracies: [0.8769, 0.8765, 0.8772] }),
      cellsOf("minMax", { accuracies: [0.8891, 0.8889, 0.8893], bits: 8, bytes: 24_000 }),
    );
    expect(nameOf(decision?.recommended)).toBe("minMax W8A8");
    expect(decision?.front.map(({ standing }) => standing)).toEqual(["worse", "equivalent"]);
  });

  test("is for four bits where they do not", () => {
    const decision = decisionOf(
      cellsOf("lsq", { accuracies: [0.8869, 0.8865, 0.8872] }),
      cellsOf("minMax", { accuracies: [0.8891, 0.8889, 0.8893], bits: 8, bytes: 24_000 }),
    );
    expect(nameOf(decision?.recommended)).toBe("lsq W4A4");
  });

  test("recommends nothing whose interval spans everything", () => {
    const decision = decisionOf(cellsOf("minMax", { accuracies: [0.88, 0.39, 0.86] }));
    expect(decision?.recommended).toBeUndefined();
    expect(decision?.nothingUsable).toBe(false);
    expect(nameOf(decision?.best)).toBe("minMax W4A4");
  });

  test("says that nothing is usable where everything loses more than five points", () => {
    const decision = decisionOf(
      cellsOf("minMax", { accuracies: [0.3, 0.31, 0.3] }),
      cellsOf("lsq", { accuracies: [0.7, 0.71, 0.7] }),
    );
    expect(decision?.recommended).toBeUndefined();
    expect(decision?.nothingUsable).toBe(true);
    expect(nameOf(decision?.best)).toBe("lsq W4A4");
  });

  test("is never for what has no number for some seed", () => {
    const failed = failedCell("crash", {
      ...{ algorithm: { name: "lsq", version: 1 }, seed: 2 },
      backend: { name: "academic", version: 1 },
    });
    const cells = cellsOf("lsq", { accuracies: [0.888, 0.888] });
    const others = cellsOf("pact", { accuracies: [0.885, 0.886], bytes: 24_000 });
    const results = [...cells, failed, ...others];
    const decision = decide(candidatesOf(results, quantizingSeconds(results.filter(isCompleted))));
    expect(nameOf(decision?.recommended)).toBe("pact W4A4");
  });

  test("knows whether integers are faster than float", () => {
    expect(decisionOf(cellsOf("lsq", { accuracies: [0.88], ratio: 2.2 }))?.fasterThanFloat).toBe(
      false,
    );
    expect(decisionOf(cellsOf("lsq", { accuracies: [0.88], ratio: 0.4 }))?.fasterThanFloat).toBe(
      true,
    );
  });

  test("is nothing without a number", () => {
    expect(decide([])).toBeUndefined();
  });
});

test("cells that share a training share the seconds that it took", () => {
  const [first, second] = cellsOf("lsq", { accuracies: [0.88, 0.88] });
  if (first === undefined || second === undefined) throw new Error("there are two");
  second.weightHash = first.weightHash;
  first.measured.seconds = { "quantized training": 40 };
  second.measured.seconds = { "quantized training": 0.01 };
  expect(quantizingSeconds([first, second])(second)).toBe(40);
});

describe("of the reference", () => {
  const decisionsOf = async () => {
    const { results } = await readStoredRun(new RunDirectory("results/reference"));
    const seconds = quantizingSeconds(results.filter(isCompleted));
    return (backend: string, without?: string) =>
      decide(
        candidatesOf(
          results.filter(
            (cell) => backendOf(cell) === backend && cell.config.algorithm.name !== without,
          ),
          seconds,
        ),
      );
  };

  test("four bits are the choice where trained algorithms are within a point of eight", async () => {
    const decision = (await decisionsOf())("academic");
    const standings = ["pact", "brecq", "adaRound", "mse"].map(
      (name) =>
        decision?.judged.find(({ algorithm, bits }) => algorithm === name && bits === "W4A4")
          ?.standing,
    );
    // Less than eight bits, paired by seed, with t of 90 % over three: 0.58 ± 0.11, 0.51 ± 0.29,
    // 0.76 ± 0.47 and 7 ± 13 points.
    expect(standings).toEqual(["equivalent", "equivalent", "worse", "undecided"]);
    expect(decision?.recommended?.bits).toBe("W4A4");
    expect(nameOf(decision?.best)).toBe("minMax W8A8");
  });

  test("trained LSQ is the choice where nothing else comes near, if seeds agree", async () => {
    const decisions = await decisionsOf();
    expect(nameOf(decisions("snpe")?.recommended)).toBe("lsq W4A4");
    // Without it losses of 13.4, 5.2 and 8.3 points are the least: whether that is usable cannot be said.
    const untrained = decisions("snpe", "lsq");
    expect(nameOf(untrained?.best)).toBe("batchNormRecalibration W4A4");
    expect(untrained?.recommended).toBeUndefined();
    expect(untrained?.nothingUsable).toBe(false);
  });
});
