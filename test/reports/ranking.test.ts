import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { paretoFront } from "../../reports/pareto.js";
import { pairings, ranking } from "../../reports/ranking.js";
import { robustnessTables } from "../../reports/robustness.js";
import type { CompletedCell } from "../../results/schema.js";
import { completedCell, failedCell } from "../results/examples.js";

const backends = ["a", "b", "c", "d", "e", "f", "g"];
/** An algorithm's accuracies on backends, or as seeds of one. */
const on = (name: string, accuracies: readonly number[], seed = 0): CompletedCell[] =>
  accuracies.map((accuracy, i) =>
    completedCell(
      {
        algorithm: { name, version: 1 },
        backend: { name: backends[i] ?? "", version: 1 },
        seed,
      },
      accuracy,
    ),
  );

/** Three seeds of an algorithm on one backend. */
const seeds = (name: string, accuracies: readonly number[]) =>
  accuracies.flatMap((accuracy, seed) => on(name, [accuracy], seed));

describe("pairs of algorithms", () => {
  // Differences 1.0, 1.1 and 0.9 points: t = 1 / (0.1 / sqrt(3)) = 17.3, p = 0.0033 with 2 degrees
  // of freedom; with three pairs in the place Holm makes it 0.01 at most.
  test("that differ in a place by more than seeds do are told apart there", () => {
    const found = pairings([
      ...seeds("lsq", [0.8, 0.82, 0.84]),
      ...seeds("pact", [0.79, 0.809, 0.831]),
      ...seeds("dsq", [0.7, 0.9, 0.8]),
    ]);
    expect(found.map(({ first, second }) => `${first} ${second}`)).toEqual([
      ...["lsq pact", "lsq dsq", "pact dsq"],
    ]);
    expect(found[0]).toMatchObject({ better: 1, worse: 0, equivalent: 0, undecided: 0 });
    expect(found[1]).toMatchObject({ better: 0, worse: 0, equivalent: 0, undecided: 1 });
  });

  test("whose whole interval is within a point are equivalent", () => {
    const [pair] = pairings([
      ...seeds("lsq", [0.88, 0.881, 0.882]),
      ...seeds("pact", [0.8805, 0.8805, 0.882]),
    ]);
    expect(pair).toMatchObject({ equivalent: 1 });
  });

  test("are counted place by place, where both completed", () => {
    const failed = failedCell("x", { backend: { name: "c", version: 1 } });
    const [pair] = pairings([...on("lsq", [0.8, 0.8, 0.8]), ...on("pact", [0.7, 0.8]), failed]);
    expect(pair).toMatchObject({ better: 1, undecided: 1 });
    expect(pair?.differences.map((x) => Number(x.toFixed(6)))).toEqual([0.1, 0]);
  });

  test("are not corrected for pairs of other places", () => {
    // One pair in each of seven places: nothing to correct.
    const [pair] = pairings([
      ...on("lsq", [0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]),
      ...on("pact", [0.788, 0.788, 0.788, 0.788, 0.788, 0.788, 0.788]),
    ]);
    // sqrt(0.8 x 0.2 + 0.788 x 0.212) / 100 = 0.572 points: 1.2 points are 2.1 of them, p = 0.036.
    expect(pair).toMatchObject({ better: 7 });
  });
});

/** An algorithm's accuracies on networks of its own widths. */
const onNetworks = (name: string, accuracies: readonly number[]): CompletedCell[] =>
  accuracies.map((accuracy, i) =>
    completedCell(
      {
        algorithm: { name, version: 1 },
        model: { name: "resnet8", version: 1, width: i + 1 },
      },
      accuracy,
    ),
  );

describe("the ranking", () => {
  const six = (accuracy: number) => new Array<number>(6).fill(accuracy);
  test("is over the largest part in which every algorithm has every network", () => {
    const found = ranking([
      ...onNetworks("good", six(0.9)),
      ...onNetworks("fair", six(0.8)),
      ...onNetworks("poor", six(0.7)),
      ...onNetworks("rare", [0.95]),
    ]);
    expect(found).toMatchObject({
      algorithms: ["good", "fair", "poor"],
      meanRanks: [1, 2, 3],
      blocks: 6,
    });
  });

  test("takes backends of one network for repetitions: they are no ranking", () => {
    const found = ranking([
      ...on("good", [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]),
      ...on("fair", [0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]),
      ...on("poor", [0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]),
    ]);
    expect(found).toEqual({ networks: 1 });
  });
});

describe("robustness", () => {
  // Float has 0.89. On a and b: lsq loses 2 and 4 points, min-max 1 and 20 (its other seed 10).
  test("is by the worst case over the backends and seeds that all have", () => {
    const [table] = robustnessTables([
      ...on("minMax", [0.88, 0.69, 0.1]),
      ...on("minMax", [0.88, 0.79], 1),
      ...on("lsq", [0.87, 0.85]),
      ...on("lsq", [0.87, 0.85], 1),
      ...on("rare", [0.89]),
    ]);
    expect(table?.backends).toEqual(["a", "b"]);
    expect(table?.rows.map(({ algorithm }) => algorithm)).toEqual(["lsq", "minMax"]);
    const [lsq, minMax] = table?.rows ?? [];
    expect(lsq?.meanLoss).toBeCloseTo(0.03, 12);
    expect(minMax?.worstLoss).toBeCloseTo(0.2, 12);
    expect(minMax?.worst.config).toMatchObject({ seed: 0, backend: { name: "b" } });
    expect(minMax?.seedRange).toBeCloseTo(0.1, 12);
    expect(minMax?.meanLoss).toBeCloseTo((1 + 20 + 1 + 10) / 400, 12);
  });

  test("needs two algorithms that share two backends", () => {
    expect(robustnessTables([...on("lsq", [0.8, 0.8]), ...on("pact", [0.8])])).toEqual([]);
  });
});

test("nothing on a Pareto front is beaten, and all that is off it is", () => {
  const point = fc.tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 8 }));
  const beats = ([a, b]: [number, number], [c, d]: [number, number]) =>
    a <= c && b >= d && (a < c || b > d);
  fc.assert(
    fc.property(fc.array(point, { maxLength: 30 }), (points) => {
      const front = new Set(paretoFront(points, (place) => place));
      for (const one of points)
        expect(front.has(one)).toBe(!points.some((other) => beats(other, one)));
    }),
  );
});
