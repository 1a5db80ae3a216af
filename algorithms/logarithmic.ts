import * as tf from "#tf";
import { MQBENCH_TOOLKIT } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerTensors } from "./algorithm.js";
import { MIN_SCALE, perScale, valueOf } from "./affine.js";
import { extremes, observeMinMax } from "./observers/index.js";

/** Steps to the octave, and codes of each sign: 7 bits. */
const STEPS = 16;
const CODES = 127;
const { LN2 } = Math;

const log2 = (x: tf.Tensor): tf.Tensor => tf.div(tf.log(x), LN2);
const exp2 = (x: tf.Tensor): tf.Tensor => tf.exp(tf.mul(x, LN2));

/** The exponent, in steps, of the smallest level: round(16 log2 limit) - 127. */
const lowestExponent = (values: QuantizerTensors): tf.Tensor =>
  tf.sub(tf.round(tf.mul(log2(valueOf(values, "limit")), STEPS)), CODES);

/**
 * Sign and logarithm: 2^((code + m) / 16) for codes 0 to 127, the same negated for codes 1 to 127,
 * and 0 for what lies below half the smallest level of its sign. Gradients pass as they are.
 */
const logarithmicLevels: Quantizer = {
  levels: "logarithmic",
  passes: "all",
  learned: [],
  observe: observeMinMax,
  initialize: (batches, site) => ({
    limit: perScale(site, (i) => {
      const { min, max } = extremes(batches, i);
      return Math.max(-min, max, MIN_SCALE);
    }),
  }),
  fakeQuantize(x, values) {
    const lowest = lowestExponent(values);
    const operation = tf.customGrad((y) => ({
      value: tf.tidy(() => quantized(y as tf.Tensor, lowest)),
      gradFunc: (dy: tf.Tensor) => dy,
    }));
    return operation(x);
  },
  quantParams(_, site) {
    throw new TypeError(`"${site.id}" has no uniform grid; its levels are in its codebook`);
  },
  codebook(values) {
    const lowest = lowestExponent(values);
    const exponents = tf.tensor1d(Array.from({ length: CODES + 1 }, (_, code) => code));
    const positive = exp2(tf.div(tf.add(exponents, lowest), STEPS));
    const between = exp2(tf.div(tf.add(tf.add(tf.slice(exponents, 0, CODES), 0.5), lowest), STEPS));
    // No negative zero code: the least magnitude on the negative side is that of code 1.
    const [abovePositive, belowNegative] = [0, 1].map((code) =>
      tf.div(tf.slice(positive, code, 1), 2),
    ) as [tf.Tensor, tf.Tensor];
    return {
      levels: tf.concat1d([
        tf.neg(tf.reverse(tf.slice(positive, 1, CODES), 0)) as tf.Tensor1D,
        tf.zeros([1]),
        positive as tf.Tensor1D,
      ]),
      thresholds: tf.concat1d([
        tf.neg(tf.reverse(tf.slice(between, 1, CODES - 1), 0)) as tf.Tensor1D,
        tf.neg(belowNegative) as tf.Tensor1D,
        abovePositive as tf.Tensor1D,
        between as tf.Tensor1D,
      ]),
    };
  },
};

function quantized(x: tf.Tensor, lowest: tf.Tensor): tf.Tensor {
  const magnitude = tf.abs(x);
  const exact = tf.mul(log2(tf.add(magnitude, 1e-30)), STEPS);
  const negative = tf.cast(tf.less(x, 0), "float32");
  const code = tf.clipByValue(tf.sub(tf.round(exact), lowest), 0, CODES);
  const used = tf.maximum(code, negative); // negative codes start at 1
  const level = exp2(tf.div(tf.add(used, lowest), STEPS));
  const smallest = exp2(tf.div(tf.add(lowest, negative), STEPS));
  const kept = tf.cast(tf.greaterEqual(magnitude, tf.div(smallest, 2)), "float32");
  return tf.mul(tf.mul(level, kept), tf.sub(1, tf.mul(negative, 2)));
}

/** The number format of HiSilicon's NNIE, with which its networks are trained. */
export const logarithmic = {
  name: "logarithmic",
  title: "Logarithmic (NNIE)",
  version: 2,
  source: MQBENCH_TOOLKIT,
  deviations: [
    "Computed in float32; the toolkit rounds in double precision, so values on a border may fall to its other side.",
    "The limit of each tensor stays as calibrated.",
  ],
  weight: logarithmicLevels,
  activation: logarithmicLevels,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
