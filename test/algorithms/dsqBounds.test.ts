import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { dsq } from "../../algorithms/dsq.js";
import { int4, normalValues, numbers, site } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const affine = { ...int4, symmetric: false, signed: false };
const place = (scheme = affine): QuantizerSite => site({ scheme, shape: [] });

/** Gradients of the sum of outputs to lower and upper (to upper alone where there is no lower). */
function boundGradients(x: number[], values: Record<string, number>, where: QuantizerSite) {
  const names = Object.keys(values).filter((name) => name !== "alpha");
  const found = tf.grads((...bounds: tf.Tensor[]) => {
    const named = Object.fromEntries(names.map((name, i) => [name, bounds[i] as tf.Tensor]));
    const state = { ...named, alpha: tf.scalar(values["alpha"] ?? 0.2) };
    return tf.sum(dsq.weight.fakeQuantize(tf.tensor1d(x), state, where));
  })(names.map((name) => tf.scalar(values[name] ?? NaN)));
  return found.map((gradient) => numbers(gradient)[0] ?? NaN);
}

describe("what DSQ clips belongs to its bound alone (equation 9)", () => {
  test.each([
    [2, { lower: -1, upper: 1 }, [0, 1]],
    [-2, { lower: -0.2, upper: 1 }, [1, 0]],
    [7, { lower: -0.37, upper: 2.9 }, [0, 1]],
    [-7, { lower: -0.37, upper: 2.9 }, [1, 0]],
  ])("%d on an affine grid, %j", (x, bounds, [lower = NaN, upper = NaN]) => {
    for (const scaleForm of ["fp32", "powerOfTwo"] as const) {
      const where = place({ ...affine, scaleForm });
      const [dLower, dUpper] = boundGradients([x], { ...bounds, alpha: 0.2 }, where);
      expect(dLower).toBeCloseTo(lower, 5);
      expect(dUpper).toBeCloseTo(upper, 5);
    }
  });

  test.each([
    [2, -2],
    [4, -8 / 7],
    [8, -128 / 127],
  ])("at %d bits the lowest code of a symmetric grid lies at %d of the bound", (bitWidth, end) => {
    for (const scaleForm of ["fp32", "powerOfTwo"] as const) {
      const where = place({ ...int4, bitWidth, scaleForm });
      expect(boundGradients([-5], { upper: 1 }, where)[0]).toBeCloseTo(end, 5);
      expect(boundGradients([5], { upper: 1 }, where)[0]).toBeCloseTo(1, 5);
    }
  });
});

describe("between the bounds", () => {
  // The paper's staircase from the lower bound, in double precision: l + delta (i + (s phi + 1) / 2).
  // Rounding passes straight through: it adds a constant number of steps to what has a gradient.
  test("both have the gradients of the paper's staircase", () => {
    const [lower, upper, alpha] = [-1.2, 1.8, 0.3]; // 15 steps of 0.2, of which 0 is one
    const soft = (x: number, [l, u]: readonly [number, number]) => {
      const delta = (u - l) / 15;
      const index = Math.floor((x - lower) / 0.2); // stays as the bounds move
      const k = Math.log(2 / alpha - 1) / delta;
      const middle = l + (index + 0.5) * delta;
      const exact = l + delta * (index + (Math.tanh(k * (x - middle)) / (1 - alpha) + 1) / 2);
      const code = Math.round((x - lower) / 0.2);
      const steps = (lower + 0.2 * code - softAtStart(x)) / 0.2;
      return exact + steps * delta;
    };
    function softAtStart(x: number): number {
      const index = Math.floor((x - lower) / 0.2);
      const middle = lower + (index + 0.5) * 0.2;
      const wave = Math.tanh((Math.log(2 / alpha - 1) / 0.2) * (x - middle));
      return lower + 0.2 * (index + (wave / (1 - alpha) + 1) / 2);
    }
    const x = normalValues(60, 4, 0.5).filter(
      (v) => v > -1.15 && v < 1.75 && Math.abs((((v + 1.2) / 0.1) % 1) - 0.5) < 0.45,
    );
    expect(x.length).toBeGreaterThan(30);
    const difference = (move: (h: number) => readonly [number, number]) =>
      x.reduce((sum, v) => sum + (soft(v, move(1e-6)) - soft(v, move(-1e-6))) / 2e-6, 0);
    const [dLower = NaN, dUpper = NaN] = boundGradients(x, { lower, upper, alpha }, place());
    expect(dLower).toBeCloseTo(
      difference((h) => [lower + h, upper]),
      2,
    );
    expect(dUpper).toBeCloseTo(
      difference((h) => [lower, upper + h]),
      2,
    );
  });
});

test("a tensor that was dead at calibration learns its bounds", () => {
  const gradients = boundGradients([3, -3], { lower: 0, upper: 0 }, place());
  expect(gradients[0]).toBeCloseTo(1, 5);
  expect(gradients[1]).toBeCloseTo(1, 5);
});
