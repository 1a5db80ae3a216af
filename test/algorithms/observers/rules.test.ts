import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import {
  movingAverageObserver,
  normObserver,
  percentileObserver,
  type Observer,
} from "../../../algorithms/observers/index.js";
import { quantile } from "../../../algorithms/observers/percentile.js";
import { int4, site, toValues } from "../../support.js";

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

test("norm puts the least value of an affine tensor on the lowest integer", () => {
  const place = site({ shape: [4], scheme: { ...affine8, bitWidth: 4 } });
  const { scale, zeroPoint } = gridOf(normObserver, [[-1, -1, 1, 1]], place);
  expect(scale).toBeCloseTo(2 / Math.sqrt(15), 6);
  expect(zeroPoint).toBe(Math.round(Math.sqrt(15) / 2));
});
