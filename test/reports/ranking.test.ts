import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { paretoFront } from "../../reports/pareto.js";
import { pairings, ranking } from "../../reports/ranking.js";
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

describe("pairs of algorithms", () => {
  // Six pairs that all point one way: p = 2 / 2^6 = 0.03125, one pairing, so Holm changes nothing.
  test("that differ in all of six cells are told apart", () => {
    const [pairing] = pairings([
      ...on("lsq", [0.8, 0.81, 0.82, 0.83, 0.84, 0.85]),
      ...on("pact", [0.79, 0.79, 0.79, 0.79, 0.79, 0.79]),
    ]);
    expect(pairing).toMatchObject({ first: "lsq", second: "pact", pairs: 6, verdict: "better" });
    expect(pairing?.pValue).toBeCloseTo(0.03125, 10);
    expect(pairing?.difference).toBeCloseTo(0.035, 10);
  });

  test("are a tie where wins and losses balance, and undecided with five cells", () => {
    const tie = pairings([
      ...on("lsq", [0.8, 0.7, 0.8, 0.7, 0.8, 0.7]),
      ...on("pact", [0.7, 0.8, 0.71, 0.79, 0.72, 0.78]),
    ]);
    expect(tie[0]?.verdict).toBe("tie");
    const few = pairings([
      ...on("lsq", [0.8, 0.8, 0.8, 0.8, 0.8]),
      ...on("pact", [0.1, 0.1, 0.1, 0.1, 0.1]),
    ]);
    expect(few[0]).toMatchObject({ verdict: "too few pairs", pairs: 5 });
  });

  test("are compared only where both completed", () => {
    const failed = failedCell("x", { backend: { name: "b", version: 1 } });
    const [pairing] = pairings([...on("lsq", [0.8, 0.8]), ...on("pact", [0.7]), failed]);
    expect(pairing?.pairs).toBe(1);
  });
});

describe("the ranking", () => {
  test("is over the largest part in which every algorithm has every cell", () => {
    const found = ranking([
      ...on("good", [0.9, 0.9, 0.9, 0.9]),
      ...on("fair", [0.8, 0.8, 0.8, 0.8]),
      ...on("poor", [0.7, 0.7, 0.7, 0.7]),
      ...on("rare", [0.95]),
    ]);
    expect(found).toMatchObject({
      algorithms: ["good", "fair", "poor"],
      meanRanks: [1, 2, 3],
      blocks: 4,
    });
  });

  test("counts repetitions of a cell once", () => {
    const seeds = [0, 1, 2].flatMap((seed) => [
      ...on("good", [0.9, 0.9], seed),
      ...on("fair", [0.8, 0.8], seed),
      ...on("poor", [0.7, 0.7], seed),
    ]);
    expect(ranking(seeds)).toMatchObject({ blocks: 2 });
  });

  test("gives a reason where there is none", () => {
    expect(ranking([...on("a", [0.5]), ...on("b", [0.5])])).toHaveProperty("reason");
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
