import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { coverRange, mseObserver } from "../../../algorithms/observers/index.js";
import { int4, normalValues, site } from "../../support.js";
import { affine8, gridOf, meanSquaredError } from "./support.js";

beforeAll(() => tf.setBackend("cpu"));

const rangeOfValues = (values: Float32Array) => ({
  min: values.reduce((a, b) => Math.min(a, b), 0),
  max: values.reduce((a, b) => Math.max(a, b), 0),
});
const sparse = (count: number, every: number, seed: number) =>
  Float32Array.from(normalValues(count, seed, 3), (v, i) => (i % every === 0 ? v : 0));

describe("the error is the least of all symmetric grids, which a scan of 10,000 scales finds:", () => {
  test.each([
    ["normal weights", Float32Array.from(normalValues(2304, 1))],
    ["weights with an outlier", Float32Array.from([...normalValues(1999, 4), 30])],
    ["a kernel of 144 weights, one in 10 not 0", sparse(144, 10, 2)],
    ["a kernel of 144 weights, one in 50 not 0", sparse(144, 50, 3)],
    ["a kernel of 576 weights, five not 0", sparse(576, 120, 5)],
    ["a tensor of 16,384, three not 0", sparse(16384, 6000, 6)],
    ["a constant", new Float32Array(50).fill(-0.1)],
  ])("%s", (_, values) => {
    for (const bitWidth of [2, 4, 8]) {
      const place = site({ shape: [values.length], scheme: { ...int4, bitWidth } });
      const grid = gridOf(mseObserver, [tf.tensor1d(values)], place);
      const { scale: largest } = coverRange(rangeOfValues(values), place);
      expect(grid.scale).toBeLessThanOrEqual(largest);
      let least = Infinity;
      for (let i = 1; i <= 10000; i++) {
        const scale = (largest * i) / 10000;
        least = Math.min(least, meanSquaredError(values, { scale, zeroPoint: 0 }, place));
      }
      const found = meanSquaredError(values, grid, place);
      const rounding = meanSquaredError(values, { scale: 1e9, zeroPoint: 0 }, place) * 1e-12;
      expect(found, `${String(bitWidth)} bits`).toBeLessThanOrEqual(1.15 * least + rounding);
    }
  });
});

describe("both ends of an affine range are free, compared with a scan of scales and zero points:", () => {
  const hardSwish = (x: number) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6;
  test.each([
    ["hard-swish(normal)", Float32Array.from(normalValues(4096, 7, 2), hardSwish)],
    ["a shifted normal", Float32Array.from(normalValues(4096, 8), (v) => v + 2)],
    ["one far value on one side", Float32Array.from([...normalValues(4095, 9), -40])],
    ["skewed", Float32Array.from(normalValues(4096, 10), (v) => Math.exp(v) - 0.3)],
  ])("%s", (_, values) => {
    for (const bitWidth of [2, 4]) {
      const place = site({
        role: "activation",
        shape: [values.length],
        scheme: { ...affine8, bitWidth },
      });
      const grid = gridOf(mseObserver, [tf.tensor1d(values)], place);
      const { scale: largest } = coverRange(rangeOfValues(values), place);
      let least = Infinity;
      for (let zeroPoint = 0; zeroPoint < 2 ** bitWidth; zeroPoint++) {
        for (let i = 1; i <= 200; i++) {
          const scale = (largest * i) / 200;
          least = Math.min(least, meanSquaredError(values, { scale, zeroPoint }, place));
        }
      }
      expect(meanSquaredError(values, grid, place)).toBeLessThanOrEqual(1.05 * least);
    }
  });
});

test("power-of-two scales are the best of all", () => {
  const values = Float32Array.from([...normalValues(4095, 11), 40]);
  const place = site({ shape: [values.length], scheme: { ...int4, scaleForm: "powerOfTwo" } });
  const grid = gridOf(mseObserver, [tf.tensor1d(values)], place);
  const errors = Array.from({ length: 20 }, (_, i) =>
    meanSquaredError(values, { scale: 2 ** (3 - i), zeroPoint: 0 }, place),
  );
  expect(meanSquaredError(values, grid, place)).toBeCloseTo(Math.min(...errors), 8);
});
