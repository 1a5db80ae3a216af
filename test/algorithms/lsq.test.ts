import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import { lsq } from "../../algorithms/lsq.js";
import { int4, numbers, site, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

/** mean(|x|) is 1 and quantMax is 7, so the scale is 2 / sqrt(7). */
function calibrated() {
  const place = site({ shape: [2] });
  const observed = lsq.weight.observe(tf.tensor1d([-1, 1]), place);
  return {
    place,
    values: lsq.weight.initialize([toValues(observed)], place),
    scale: 2 / Math.sqrt(7),
  };
}

test("the first scale is 2 * mean(|x|) / sqrt(quantMax)", () => {
  const { values, scale } = calibrated();
  expect(values["scale"]?.data[0]).toBeCloseTo(scale, 6);
});

test("values beyond the range get no gradient", () => {
  const { place, values, scale } = calibrated();
  const x = tf.tensor1d([-100, 6.6, 7.4, 100]).mul(scale); // 7.4 rounds to 7, yet lies beyond it
  const dx = tf.grad((v) => lsq.weight.fakeQuantize(v, toTensors(values), place).sum())(x);
  expect(numbers(dx)).toEqual([0, 1, 0, 0]);
});

test("the scale's gradient is divided by sqrt(N * quantMax), N without the batch", () => {
  const place = site({ role: "activation", shape: [3], channelAxis: 1 });
  const x = tf.tensor2d([
    [-9, -2.2, 0.3],
    [9, 0, 0],
  ]);
  const gradient = tf.grad((scale) => lsq.activation.fakeQuantize(x, { scale }, place).sum())(
    tf.scalar(1),
  );
  expect(numbers(gradient)[0]).toBeCloseTo((-8 + 0.2 - 0.3 + 7) / Math.sqrt(3 * 7), 6);
});

test("an affine grid starts by covering values of both signs", () => {
  const place = site({ shape: [10], scheme: { ...int4, symmetric: false, signed: false } });
  const observed = lsq.weight.observe(tf.tensor1d([-1, 0, 0, 0, 0, 0, 0, 0, 0, 2]), place);
  const values = lsq.weight.initialize([toValues(observed)], place);
  expect(values["scale"]?.data[0]).toBeCloseTo(3 / 15, 6);
  expect(values["zeroPoint"]?.data[0]).toBe(5);
});

test("a learned scale stays on the power-of-two grid", () => {
  const place = site({ scheme: { ...int4, scaleForm: "powerOfTwo" } });
  const { scale } = lsq.weight.quantParams({ scale: tf.scalar(0.3) }, place);
  expect(numbers(scale)).toEqual([0.25]);
});
