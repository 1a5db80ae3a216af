import * as tf from "@tensorflow/tfjs";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
  type QuantizerValues,
} from "./algorithm.js";
import {
  fakeQuantize,
  perScale,
  rangeOf,
  roundSte,
  scaleGradient,
  usableScale,
  valueOf,
} from "./affine.js";
import { gridsFrom, minMaxObserver, normObserver } from "./observers/index.js";

interface LearnedStep {
  readonly observe: Quantizer["observe"];
  readonly initialize: Quantizer["initialize"];
  /** How many values share a scale: what the scale's gradient is divided by the root of. */
  readonly valuesPerScale: (x: tf.Tensor, site: QuantizerSite, scales: number) => number;
}

/** A quantizer whose scale, and zero point on affine backends, gradient descent trains. */
export function learnedStep({ observe, initialize, valuesPerScale }: LearnedStep): Quantizer {
  return {
    learned: ["scale", "zeroPoint"],
    startsFromGrid: true,
    observe,
    initialize,
    fakeQuantize(x, values, site) {
      const range = rangeOf(site);
      const count = valuesPerScale(x, site, valueOf(values, "scale").size);
      const gradientScale = 1 / Math.sqrt(count * range.quantMax);
      const { scale, zeroPoint } = gridOf(values, site, gradientScale);
      return fakeQuantize(x, scale, zeroPoint, range);
    },
    quantParams(values, site) {
      const { scale, zeroPoint } = gridOf(values, site, 1);
      return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
    },
  };
}

function gridOf(values: QuantizerTensors, site: QuantizerSite, gradientScale: number) {
  const scale = usableScale(scaleGradient(valueOf(values, "scale"), gradientScale), site.scheme);
  if (site.scheme.symmetric) return { scale, zeroPoint: undefined };
  const { quantMin, quantMax } = rangeOf(site);
  const zeroPoint = scaleGradient(valueOf(values, "zeroPoint"), gradientScale);
  return { scale, zeroPoint: roundSte(tf.clipByValue(zeroPoint, quantMin, quantMax)) };
}

/** Section 2.2: the number of weights, or of features of one sample, that share a scale. */
export const featuresPerScale: LearnedStep["valuesPerScale"] = (_, { shape }, scales) =>
  shape.reduce((a, b) => a * b, 1) / scales;

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
  valuesPerScale: featuresPerScale,
});

/** Learned Step Size Quantization: gradient descent trains each scale with the weights. */
export const lsq = {
  name: "lsq",
  title: "LSQ",
  version: 2,
  source: {
    title: "Learned Step Size Quantization (Esser et al., ICLR 2020)",
    url: "https://arxiv.org/abs/1902.08153",
  },
  deviations: [
    "Affine backends: the zero point is learned too (LSQ+, Bhalgat et al. 2020); grids of tensors with negative values start by covering the calibrated extremes, unless LSQ's own first step is larger. MQBench keeps LSQ's first scale there, which clips one side away (its issue 180).",
    "Power-of-two backends: the learned scale is rounded to 2^round(log2 s) each time it is used, with a straight-through gradient.",
    "Scales share the weights' learning rate and weight decay, as in MQBench; the paper gives no separate ones.",
  ],
  weight: quantizer,
  activation: quantizer,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
