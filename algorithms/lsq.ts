import * as tf from "@tensorflow/tfjs";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
} from "./algorithm.js";
import {
  fakeQuantize,
  MIN_SCALE,
  perScale,
  rangeOf,
  roundSte,
  scaleGradient,
  scaleShape,
  sharedAxes,
  usableScale,
} from "./affine.js";
import { coverRange, extremes, observeMinMax } from "./observers.js";

const learnedStep: Quantizer = {
  learned: ["scale", "zeroPoint"],

  observe(x, site) {
    const meanAbs = tf.mean(tf.abs(x), sharedAxes(x, site));
    return { ...observeMinMax(x, site), meanAbs: tf.reshape(meanAbs, scaleShape(site)) };
  },

  initialize(batches, site) {
    // An affine grid for values of both signs starts by covering them (LSQ+, section 4.2).
    if (!site.scheme.symmetric && !site.nonNegative) {
      return {
        scale: perScale(site, (i) => coverRange(extremes(batches, i), site).scale),
        zeroPoint: perScale(site, (i) => coverRange(extremes(batches, i), site).zeroPoint),
      };
    }
    // Section 2.1: the first scale is 2 * mean(|x|) / sqrt(quantMax).
    const { quantMin, quantMax } = rangeOf(site);
    const scale = perScale(site, (i) => {
      const means = batches.map((batch) => batch["meanAbs"]?.data[i] ?? NaN);
      const mean = means.reduce((a, b) => a + b, 0) / means.length;
      return Math.max((2 * mean) / Math.sqrt(quantMax), MIN_SCALE);
    });
    return site.scheme.symmetric ? { scale } : { scale, zeroPoint: perScale(site, () => quantMin) };
  },

  fakeQuantize(x, values, site) {
    const range = rangeOf(site);
    // Section 2.2: N is the number of weights, or of features of one sample, that share a scale.
    const valuesPerScale = site.shape.reduce((a, b) => a * b, 1) / valueOf(values, "scale").size;
    const gradientScale = 1 / Math.sqrt(valuesPerScale * range.quantMax);
    const { scale, zeroPoint } = gridOf(values, site, gradientScale);
    return fakeQuantize(x, scale, zeroPoint, range);
  },

  quantParams(values, site) {
    const { scale, zeroPoint } = gridOf(values, site, 1);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

function gridOf(values: QuantizerTensors, site: QuantizerSite, gradientScale: number) {
  const scale = usableScale(scaleGradient(valueOf(values, "scale"), gradientScale), site.scheme);
  if (site.scheme.symmetric) return { scale, zeroPoint: undefined };
  const { quantMin, quantMax } = rangeOf(site);
  const zeroPoint = scaleGradient(valueOf(values, "zeroPoint"), gradientScale);
  return { scale, zeroPoint: roundSte(tf.clipByValue(zeroPoint, quantMin, quantMax)) };
}

function valueOf(values: QuantizerTensors, name: string): tf.Tensor {
  const value = values[name];
  if (value === undefined) throw new TypeError(`LSQ quantizer without ${name}`);
  return value;
}

/** Learned Step Size Quantization: gradient descent trains each scale with the weights. */
export const lsq = {
  name: "lsq",
  title: "LSQ",
  version: 1,
  source: {
    title: "Learned Step Size Quantization (Esser et al., ICLR 2020)",
    url: "https://arxiv.org/abs/1902.08153",
  },
  deviations: [
    "Affine backends: the zero point is learned too (LSQ+, Bhalgat et al. 2020); grids of tensors with negative values start by covering the calibrated extremes. MQBench keeps LSQ's first scale there, which clips one side away (its issue 180).",
    "Power-of-two backends: the learned scale is rounded to 2^round(log2 s) each time it is used, with a straight-through gradient.",
    "Scales share the weights' learning rate and weight decay, as in MQBench; the paper gives no separate ones.",
  ],
  weight: learnedStep,
  activation: learnedStep,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
