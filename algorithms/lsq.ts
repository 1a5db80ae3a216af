import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
  type QuantizerValues,
} from "./algorithm.js";
import { fakeQuantize, perScale, rangeOf, usableScale, valueOf } from "./affine.js";
import { scaleGradient, straightThrough } from "./gradients.js";
import { gridsFrom, minMaxObserver, normObserver } from "./observers/index.js";

interface LearnedStep {
  readonly observe: Quantizer["observe"];
  readonly initialize: Quantizer["initialize"];
  /** The scale as it is used, before it is made positive. */
  readonly read?: (scale: tf.Tensor) => tf.Tensor;
  readonly passes?: "exact" | "rounded";
  /**
   * Whether the samples of a batch count among the values that share a scale, by the root of whose
   * number its gradient is divided; in section 2.2 of LSQ the weights or the features of one sample.
   */
  readonly countsBatch?: boolean;
}

/** A quantizer whose scale, and zero point on affine backends, gradient descent trains. */
export function learnedStep(options: LearnedStep): Quantizer {
  const { observe, initialize, read = (scale) => scale } = options;
  const { passes = "exact", countsBatch = false } = options;
  const gridOf = (values: QuantizerTensors, site: QuantizerSite, gradientScale: number) => {
    const learned = scaleGradient(valueOf(values, "scale"), gradientScale);
    const scale = usableScale(read(learned), site.scheme);
    if (site.scheme.symmetric) return { scale, zeroPoint: undefined };
    return { scale, zeroPoint: wholeZeroPoint(values, site, gradientScale) };
  };
  return {
    learned: ["scale", "zeroPoint"],
    startsFromGrid: true,
    passes,
    countsBatch,
    observe,
    initialize,
    fakeQuantize(x, values, site) {
      const range = rangeOf(site);
      const count = countsBatch ? x.size : site.shape.reduce((a, b) => a * b, 1);
      const perScale = count / valueOf(values, "scale").size;
      const { scale, zeroPoint } = gridOf(values, site, 1 / Math.sqrt(perScale * range.quantMax));
      return fakeQuantize(x, scale, zeroPoint, { ...range, passes });
    },
    quantParams(values, site) {
      const { scale, zeroPoint } = gridOf(values, site, 1);
      return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
    },
  };
}

/** The learned zero point as an integer of the grid; beyond its ends it can come back. */
function wholeZeroPoint(values: QuantizerTensors, site: QuantizerSite, gradientScale: number) {
  const { quantMin, quantMax } = rangeOf(site);
  const learned = scaleGradient(valueOf(values, "zeroPoint"), gradientScale);
  return straightThrough(learned, (z) => tf.round(tf.clipByValue(z, quantMin, quantMax)));
}

const quantizer = learnedStep({
  observe: normObserver.observe,
  initialize(batches, site) {
    const own = gridsFrom(normObserver, batches, site);
    if (site.scheme.symmetric || site.nonNegative) return own;
    // An affine grid for values of both signs starts by covering them (LSQ+, section 4.2), though
    // with no finer steps than LSQ's: at 8 bits those would be too small for its learning rate.
    const covering = gridsFrom(minMaxObserver, batches, site);
    const at = (grids: QuantizerValues, name: string, i: number) => grids[name]?.data[i] ?? NaN;
    const grids = perScale(site, (i) => i).data.map((i) =>
      Number(at(own, "scale", i) > at(covering, "scale", i)),
    );
    const chosen = (name: string) =>
      perScale(site, (i) => at(grids[i] === 1 ? own : covering, name, i));
    return { scale: chosen("scale"), zeroPoint: chosen("zeroPoint") };
  },
});

/** Learned Step Size Quantization: gradient descent trains each scale with the weights. */
export const lsq = {
  name: "lsq",
  title: "LSQ",
  version: 3,
  source: {
    title: "Learned Step Size Quantization (Esser et al., ICLR 2020)",
    url: "https://arxiv.org/abs/1902.08153",
  },
  deviations: [
    "Affine backends: the zero point is learned too (LSQ+, Bhalgat et al. 2020); grids of tensors with negative values start by covering the calibrated extremes, unless LSQ's own first step is larger. MQBench keeps LSQ's first scale there, which clips one side away (its issue 180).",
    "Backends with scales per channel learn one for each channel, N counting its values; the paper has one for each layer.",
    "The first scale of activations is the mean over calibration batches; the paper takes the first batch.",
    "Power-of-two backends: the learned scale is rounded to 2^round(log2 s) each time it is used, with a straight-through gradient.",
    "Scales share the weights' learning rate and weight decay, as in MQBench; the paper gives no separate ones.",
  ],
  weight: quantizer,
  activation: quantizer,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
