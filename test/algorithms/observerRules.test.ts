import * as tf from "@tensorflow/tfjs";
import { beforeAll, expect, test } from "vitest";
import { klDivergence } from "../../algorithms/observers/kl.js";
import {
  klObserver,
  movingAverageObserver,
  mseObserver,
  normObserver,
  percentileObserver,
  quantizerOn,
  type Observer,
} from "../../algorithms/observers/index.js";
import { quantile } from "../../algorithms/observers/percentile.js";
import { int4, normalValues, site, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const affine8 = { ...int4, bitWidth: 8, signed: false, symmetric: false };

const gridOf = (observer: Observer, batches: number[][], place = site({ shape: [4] })) =>
  observer.grid(
    batches.map((batch) => toValues(observer.observe(tf.tensor1d(batch), place))),
    0,
    place,
  );

test("quantiles are NumPy's", () => {
  // numpy.quantile([1, 2, 4, 8], 0.4) is 2.4
  expect(quantile(Float32Array.of(1, 2, 4, 8), 0.4)).toBeCloseTo(2.4, 6);
});

test("percentile pools all batches before it takes quantiles", () => {
  const many = Array.from({ length: 10001 }, (_, i) => i / 10000); // 0 ... 1
  const place = site({ role: "activation", shape: [4], nonNegative: true, scheme: affine8 });
  const { scale } = gridOf(percentileObserver, [many, many.map((v) => v + 1)], place);
  // Of 20,002 values the quantile 0.9999 lies 2.0001 places below the largest, 2.
  expect(scale * 255).toBeCloseTo(2 - 2.0001 / 10000, 4);
});

test("the moving average keeps 0.9 of the past", () => {
  const { scale } = gridOf(movingAverageObserver, [[1], [2]]);
  expect(scale).toBeCloseTo((0.9 * 1 + 0.1 * 2) / 7.5, 6);
});

test("MSE finds the best of all ranges", () => {
  const place = site({ shape: [2000] });
  const values = [...normalValues(1999, 4), 30];
  const { scale } = gridOf(mseObserver, [values], place);
  const error = (s: number) => {
    const quantize = quantizerOn({ scale: s, zeroPoint: 0 }, place);
    return values.reduce((sum, v) => sum + (quantize(Math.fround(v)) - v) ** 2, 0);
  };
  for (let part = 0.06; part <= 1; part += 0.01) {
    expect(error(scale)).toBeLessThanOrEqual(error((30 * part) / 7.5) * 1.0001);
  }
});

test("KL is finite on Gaussian tensors and clips their tails at 4 bits", () => {
  for (const count of [2000, 50000]) {
    const place = site({ shape: [count] });
    const values = normalValues(count, 7);
    const largest = Math.max(...values.map(Math.abs));
    const { scale } = gridOf(klObserver, [values], place);
    expect(scale).toBeGreaterThan(0);
    expect(scale).toBeLessThan(largest / 7.5);
  }
});

test("the divergence of a distribution from itself is 0", () => {
  const centers = Float64Array.from({ length: 2048 }, (_, i) => i);
  const counts = centers.map((i) => 1 + (i % 7));
  expect(klDivergence({ counts, centers }, (x) => x)).toBeCloseTo(0, 12);
});

test("norm puts the least value of an affine tensor on the lowest integer", () => {
  const place = site({ shape: [4], scheme: { ...affine8, bitWidth: 4 } });
  const { scale, zeroPoint } = gridOf(normObserver, [[-1, -1, 1, 1]], place);
  expect(scale).toBeCloseTo(2 / Math.sqrt(15), 6);
  expect(zeroPoint).toBe(Math.round(Math.sqrt(15) / 2));
});
