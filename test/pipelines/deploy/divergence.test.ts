import { describe, expect, test } from "vitest";
import {
  CAUSES,
  Divergence,
  PartingCounter,
  type Compared,
} from "../../../pipelines/deploy/divergence.js";

const STEP = 0.5;
const { equal, tie, other } = CAUSES;

/** One value an image, in steps. */
const compared = (x: readonly number[], expected: readonly number[], found: readonly number[]) => {
  const real = (steps: readonly number[]) => steps.map((value) => value * STEP);
  const values: Compared = {
    ...{ images: x.length, x: real(x), expected: real(expected), found: real(found) },
  };
  return values;
};

describe("values on another level", () => {
  test("are ties where the simulation had them on the border of both, and only there", () => {
    const divergence = new Divergence(STEP);
    const causes = divergence.compare(
      compared([2.499999, 2.5, 2.3, 2.5, 7.4, 3.1], [2, 2, 2, 2, 7, 3], [3, 3, 3, 4, 7, 3.1]),
    );
    expect([...causes]).toEqual([tie, tie, other, other, equal, equal]);
    expect(divergence.share).toBeCloseTo(4 / 6, 5);
    expect(divergence.ties).toBeCloseTo(2 / 6, 5);
    expect(divergence.largestSteps).toBe(2);
  });

  test("of one image are ties only where all of them are", () => {
    const values = { ...compared([1.5, 1.2, 0.5, 0.1], [2, 1, 0, 0], [1, 2, 1, 0]), images: 2 };
    expect([...new Divergence(STEP).compare(values)]).toEqual([other, tie]);
  });

  test("that are missing differ", () => {
    const values = { ...compared([1, 1], [1, 1], [1, 1]), found: [STEP] };
    expect(new Divergence(STEP).share).toBeNaN();
    const divergence = new Divergence(STEP);
    divergence.compare({ ...values, found: [STEP, 9 * STEP] });
    expect(divergence.share).toBe(0.5);
  });
});

test("images part where the first tensor differs, whatever follows from it", () => {
  const counter = new PartingCounter();
  counter.add([
    Uint8Array.of(equal, tie, equal, other),
    Uint8Array.of(equal, other, other, tie),
    Uint8Array.of(equal, other, tie, tie),
  ]);
  counter.add([Uint8Array.of(equal, tie), Uint8Array.of(equal, equal)]);
  expect(counter.result()).toEqual({ byTies: 2, otherwise: 2 });
});
