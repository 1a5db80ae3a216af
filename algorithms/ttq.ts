import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type QuantizerTensors,
  type QuantizerValues,
} from "./algorithm.js";
import { valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { ternaryCodes, unlessBits } from "./fewLevels.js";
import { magnitude, stopGradient, sumTo } from "./gradients.js";
import { lsq } from "./lsq.js";

/** Of the largest magnitude. */
const THRESHOLD = 0.05;
/** So that a magnitude stays one. */
const SMALLEST = 1e-5;

const thresholdOf = (w: tf.Tensor): tf.Tensor => stopGradient(tf.mul(tf.max(tf.abs(w)), THRESHOLD));

const magnitudesOf = (values: QuantizerTensors) => ({
  positive: magnitude(valueOf(values, "positive"), SMALLEST),
  negative: magnitude(valueOf(values, "negative"), SMALLEST),
});

/** The mean magnitude of weights on one side of the threshold. */
function meanBeyond(w: tf.Tensor, side: 1 | -1): tf.Tensor {
  const beyond = tf.cast(tf.greater(tf.mul(w, side), thresholdOf(w)), "float32");
  const total = tf.mul(tf.sum(tf.mul(w, beyond)), side);
  return tf.div(total, tf.clipByValue(tf.sum(beyond), 1, Infinity));
}

/** Two magnitudes, one of positive weights and one of negative ones; gradients as in TTQ. */
function twoMagnitudes(
  w: tf.Tensor,
  codes: tf.Tensor,
  { positive, negative }: { readonly positive: tf.Tensor; readonly negative: tf.Tensor },
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [, up, down, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const isPositive = tf.cast(tf.greater(codes, 0), "float32");
    const isNegative = tf.cast(tf.less(codes, 0), "float32");
    const sides = tf.sub(tf.mul(isPositive, up), tf.mul(isNegative, down));
    save([up, down, isPositive, isNegative]);
    return {
      value: sides,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p, n, above, below] = saved as unknown as readonly [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const middle = tf.sub(1, tf.add(above, below));
        const factor = tf.add(middle, tf.add(tf.mul(above, p), tf.mul(below, n)));
        return [
          tf.mul(dy, factor),
          sumTo(tf.mul(dy, above), p.shape),
          tf.neg(sumTo(tf.mul(dy, below), n.shape)),
        ];
      },
    };
  });
  return operation(w, positive, negative);
}

const ternary = codebookQuantizer({
  learned: ["positive", "negative"],
  observe: (w) => ({ positive: meanBeyond(w, 1), negative: meanBeyond(w, -1) }),
  initialize([batch]): QuantizerValues {
    const { positive, negative } = batch ?? {};
    if (positive === undefined || negative === undefined)
      throw new TypeError("no weights observed");
    return { positive, negative };
  },
  fakeQuantize(w, values) {
    return twoMagnitudes(w, ternaryCodes(w, thresholdOf(w)), magnitudesOf(values));
  },
  codebook(values, _, w) {
    const { positive, negative } = magnitudesOf(values);
    // Levels are the same for all weights; where 0 ends follows those that are there.
    const threshold = w === undefined ? tf.scalar(0) : thresholdOf(w);
    return {
      levels: tf.stack([tf.neg(negative), tf.zerosLike(positive), positive]) as tf.Tensor1D,
      thresholds: tf.stack([tf.neg(threshold), threshold]) as tf.Tensor1D,
    };
  },
});

/** Trained Ternary Quantization: -n, 0 or p, where n and p of each layer are learned. */
export const ttq = {
  name: "ttq",
  title: "TTQ",
  family: "binary and ternary",
  version: 2,
  source: {
    title: "Trained Ternary Quantization (Zhu et al., ICLR 2017)",
    url: "https://arxiv.org/abs/1612.01064",
  },
  deviations: [
    "Runs on the academic setting alone: its two magnitudes are levels without equal steps.",
    "Weights of 2 bits are ternary; first and last layer have 8 bits on a min-max grid (the paper's stay in float).",
    "Activations are float (32 bits) as in the paper, or LSQ's.",
    "Magnitudes start as the means beyond the threshold and share the weights' learning rate and decay.",
    "The threshold of 0.05 and the gradients are from memory of the paper.",
  ],
  weight: ternary,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  unsupported: (site) =>
    site.role === "weight" ? unlessBits(site, { weight: [2, 8], activation: [] }) : undefined,
} as const satisfies Algorithm;
