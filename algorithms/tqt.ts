import log2 from "@stdlib/math-base-special-log2";
import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
} from "./algorithm.js";
import { fakeQuantize, MIN_SCALE, perScale, rangeOf, valueOf } from "./affine.js";
import { straightThrough } from "./gradients.js";
import { extremes, meanStdObserver, observeMinMax, statistic } from "./observers/index.js";

/** Keeps products of scales finite. */
const MAX_EXPONENT = 60;

/**
 * Symmetric about the integer that stands for 0, whatever the backend's grid: unsigned integers
 * with negative values have 0 in their middle.
 */
function zeroCode(site: QuantizerSite): number {
  if (site.scheme.signed || site.nonNegative) return 0;
  return 2 ** (site.scheme.bitWidth - 1);
}

/**
 * s = 2^ceil(log2 t) / steps above 0 (equation 4 of Jain et al., 2020); its gradient to log2 t is
 * s * ln 2 (equation 6), at the smallest scale too, so that a threshold can leave it.
 */
function scaleOf(values: QuantizerTensors, site: QuantizerSite): tf.Tensor {
  const steps = rangeOf(site).quantMax + 1 - zeroCode(site);
  // quantMax + 1 steps reach from 0 to the threshold, also where the lowest integer is left out.
  const exponent = straightThrough(valueOf(values, "log2Threshold"), (log2Threshold) =>
    tf.clipByValue(tf.sub(tf.ceil(log2Threshold), log2(steps)), log2(MIN_SCALE), MAX_EXPONENT),
  );
  return tf.pow(tf.fill([], 2), exponent);
}

const trainedThreshold: Quantizer = {
  learned: ["log2Threshold"],
  passes: "rounded",
  observe: (x, site) => ({ ...observeMinMax(x, site), ...meanStdObserver.observe(x, site) }),
  initialize: (batches, site) => ({
    log2Threshold: perScale(site, (i) => log2(Math.max(threshold(batches, i, site), MIN_SCALE))),
  }),
  fakeQuantize(x, values, site) {
    const scale = scaleOf(values, site);
    const zero = zeroCode(site);
    const { quantMin, quantMax, ...range } = rangeOf(site);
    // Counted from the integer that stands for 0, so that no zero point is learned. Gradients are
    // those of equations 6 to 8, which ask where the rounded value lies.
    return fakeQuantize(x, scale, undefined, {
      ...range,
      passes: "rounded",
      quantMin: quantMin - zero,
      quantMax: quantMax - zero,
    });
  },
  quantParams(values, site) {
    const scale = scaleOf(values, site);
    return { scale, zeroPoint: tf.fill(scale.shape, zeroCode(site)) };
  },
};

/** Weights start from three standard deviations, activations from their extremes (table 2). */
function threshold(
  batches: Parameters<Quantizer["initialize"]>[0],
  index: number,
  site: QuantizerSite,
): number {
  if (site.role === "weight") return 3 * Math.max(...statistic(batches, "deviation", index));
  const { min, max } = extremes(batches, index);
  return Math.max(-min, max);
}

/** Trained Quantization Thresholds: powers of two whose exponents gradient descent moves. */
export const tqt = {
  name: "tqt",
  title: "TQT",
  version: 2,
  source: {
    title:
      "Trained Quantization Thresholds for Accurate and Efficient Fixed-Point Inference of Deep Neural Networks (Jain et al., MLSys 2020)",
    url: "https://arxiv.org/abs/1903.08066",
  },
  deviations: [
    "Thresholds of activations start from the calibrated extremes; the paper uses the KL-J distance.",
    "Scales stay between 2^-23 and 2^60.",
    "Thresholds share the weights' optimizer, learning rate and decay; the paper trains them with Adam at a rate of their own.",
    "On backends with scales per channel each channel has its threshold; the paper has one per tensor.",
    "On affine backends 0 lies in the middle of the integers, since TQT is symmetric.",
  ],
  weight: trainedThreshold,
  activation: trainedThreshold,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
