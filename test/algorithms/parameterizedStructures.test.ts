import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { scaledStructures } from "../../algorithms/parameterizedPruning.js";
import { numbers } from "../support.js";

describe("structures with parameters", () => {
  // Two channels of a 1 x 1 kernel that reads them, for two filters.
  const weights = tf.tensor([1, -2, 3, 4], [1, 1, 2, 2]);
  const parameters = tf.tensor1d([0.5, 0.125]);
  const mask = tf.tensor1d([1, 0]);

  test("are their weights times the parameter, and 0 below the threshold", () => {
    const values = scaledStructures(weights, { parameters, mask }, 2);
    expect(numbers(values)).toEqual([0.5, -1, 0, 0]);
  });

  test("have a gradient that passes the threshold: the sum of gradients times weights", () => {
    const slopes = tf.tensor([10, 20, 30, 40], [1, 1, 2, 2]);
    const loss = (v: tf.Tensor, alpha: tf.Tensor): tf.Scalar =>
      tf.sum(tf.mul(scaledStructures(v, { parameters: alpha, mask }, 2), slopes));
    const [byWeights, byParameters] = tf.grads(loss)([weights, parameters]);
    expect(byParameters && numbers(byParameters)).toEqual([10 - 40, 90 + 160]);
    expect(byWeights && numbers(byWeights)).toEqual([5, 10, 0, 0]);
  });
});
