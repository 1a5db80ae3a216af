import * as tf from "@tensorflow/tfjs";
import { beforeAll, expect, test } from "vitest";
import { normalizeByBatch } from "../../../pipelines/network/batchNorm.js";
import { normalValues, numbers } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

const shape: [number, number, number, number] = [3, 4, 5, 2];
const x = tf.tensor(normalValues(120, 1), shape).mul([2, 0.5]).add([1, -3]);
const [gamma, beta] = [tf.tensor1d([0.7, -1.2]), tf.tensor1d([0.1, 0.4])];
const running = { mean: tf.tensor1d([0, 1]), variance: tf.tensor1d([1, 2]) };

/** The definition, left to tfjs's automatic differentiation. */
function reference(input: tf.Tensor, g: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(input, [0, 1, 2]);
  return input.sub(mean).div(variance.add(1e-5).sqrt()).mul(g).add(b);
}

test("value and gradients equal those of the definition", () => {
  const weights = tf.tensor(normalValues(120, 2), shape);
  const ours = (i: tf.Tensor, g: tf.Tensor, b: tf.Tensor) =>
    normalizeByBatch(i, { gamma: g, beta: b, ...running }).y;
  for (const [actual, expected] of [
    [[ours(x, gamma, beta)], [reference(x, gamma, beta)]],
    [ours, reference].map((f) =>
      tf.grads((...args) =>
        f(...(args as [tf.Tensor, tf.Tensor, tf.Tensor]))
          .mul(weights)
          .sum(),
      )([x, gamma, beta]),
    ),
  ] as [tf.Tensor[], tf.Tensor[]][]) {
    actual.forEach((tensor, i) => {
      const wanted = numbers(expected[i] as tf.Tensor);
      numbers(tensor).forEach((value, j) => {
        expect(value).toBeCloseTo(wanted[j] ?? NaN, 4);
      });
    });
  }
});

test("running statistics take in a tenth of the batch's, the variance unbiased", () => {
  const { mean, variance } = normalizeByBatch(x, { gamma, beta, ...running });
  const moments = tf.moments(x, [0, 1, 2]);
  const [batchMean, batchVariance] = [numbers(moments.mean), numbers(moments.variance)];
  numbers(mean).forEach((value, i) => {
    expect(value).toBeCloseTo(0.9 * i + 0.1 * (batchMean[i] ?? NaN), 5);
  });
  numbers(variance).forEach((value, i) => {
    expect(value).toBeCloseTo(0.9 * (i + 1) + (0.1 * (batchVariance[i] ?? NaN) * 60) / 59, 4);
  });
});
