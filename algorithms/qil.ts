import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
} from "./algorithm.js";
import { MIN_SCALE, perScale, roundSte, valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { magnitude, scaleGradient, stopGradient, straightThrough } from "./gradients.js";
import { extremes, observeMinMax } from "./observers/index.js";

/** Keeps powers and their derivatives finite near 0. */
const TINY = 1e-6;

interface QilOptions {
  /** Whether the curve of the weights' transformation is learned (gamma of the paper). */
  readonly learnsGamma: boolean;
  /** What the gradients of center and distance are multiplied by. */
  readonly gradientScale: (site: QuantizerSite, x: tf.Tensor) => number;
  /** That scale shrinks with the samples of a batch. */
  readonly countsBatch?: boolean;
  /** Neither center nor distance exceeds half of the largest magnitude. */
  readonly limited?: boolean;
}

/** Center and distance as they are used; `x` where gradients are wanted, or weights deployed. */
type Interval = (
  values: QuantizerTensors,
  site: QuantizerSite,
  x?: tf.Tensor,
) => { readonly slope: tf.Tensor; readonly offset: tf.Tensor; readonly gamma?: tf.Tensor };

function intervalOf({ learnsGamma, gradientScale, limited = false }: QilOptions): Interval {
  return (values, site, x) => {
    const factor = x === undefined ? 1 : gradientScale(site, x);
    const limit = limited ? limitOf(values, site, x) : undefined;
    const read = (name: string, floor: number) => {
      const size = magnitude(scaleGradient(valueOf(values, name), factor), floor);
      return limit === undefined ? size : straightThrough(size, (y) => tf.minimum(y, limit));
    };
    const slope = tf.div(0.5, read("distance", MIN_SCALE));
    const offset = tf.sub(0.5, tf.mul(slope, read("center", 0)));
    const curved = learnsGamma && site.role === "weight";
    return { slope, offset, ...(curved && { gamma: magnitude(valueOf(values, "gamma"), TINY) }) };
  };
}

/** Half of the largest magnitude: of weights as they are, of activations as calibrated. */
function limitOf(values: QuantizerTensors, site: QuantizerSite, x?: tf.Tensor) {
  if (site.role === "activation") return valueOf(values, "limit");
  return x && tf.maximum(tf.mul(tf.max(tf.abs(stopGradient(x))), 0.5), MIN_SCALE);
}

/**
 * Quantization by learned intervals (equations 4 and 5 of Jung et al., 2019). Magnitudes between
 * center - distance and center + distance are mapped to 0 ... 1, what lies below to 0 and above to
 * 1, then rounded to whole parts.
 */
export function intervalQuantizer(options: QilOptions): Quantizer {
  const { learnsGamma, limited = false, countsBatch = false } = options;
  const transformation = intervalOf(options);
  return codebookQuantizer({
    learned: ["center", "distance", "gamma"],
    countsBatch,
    observe: observeMinMax,
    initialize(batches, site) {
      const half = perScale(site, (i) => {
        const { min, max } = extremes(batches, i);
        return 0.5 * Math.max(-min, max, MIN_SCALE);
      });
      return {
        center: half,
        distance: { ...half, data: Float32Array.from(half.data) },
        ...(learnsGamma && site.role === "weight" && { gamma: perScale(site, () => 1) }),
        ...(limited && site.role === "activation" && { limit: half }),
      };
    },
    fakeQuantize(x, values, site) {
      const { slope, offset, gamma } = transformation(values, site, x);
      const size = site.nonNegative ? x : tf.abs(x);
      const inside = tf.clipByValue(tf.add(tf.mul(size, slope), offset), 0, 1);
      const parts = partsOf(site);
      const rounded = tf.div(roundSte(tf.mul(curve(inside, gamma), parts)), parts);
      return site.nonNegative ? rounded : tf.mul(rounded, tf.sign(x));
    },
    codebook(values, site, x) {
      const parts = partsOf(site);
      const { slope, offset, gamma } = transformation(values, site, x);
      const middles = tf.tensor1d(Array.from({ length: parts }, (_, i) => (i + 0.5) / parts));
      const straight = gamma === undefined ? middles : tf.pow(middles, tf.div(1, gamma));
      const positive = tf.div(tf.sub(straight, offset), slope);
      const steps = Array.from({ length: parts + 1 }, (_, i) => i / parts);
      if (site.nonNegative)
        return { levels: tf.tensor1d(steps), thresholds: tf.reshape(positive, [-1]) };
      const negative = tf.reverse(tf.neg(positive), 0);
      return {
        levels: tf.tensor1d([
          ...steps
            .slice(1)
            .map((step) => -step)
            .reverse(),
          ...steps,
        ]),
        thresholds: tf.reshape(tf.concat([negative, positive], 0), [-1]),
      };
    },
  });
}

/** x^gamma for x of 0 to 1. What is pruned stays 0 and has no gradient, not even to gamma. */
function curve(x: tf.Tensor, gamma: tf.Tensor | undefined): tf.Tensor {
  if (gamma === undefined) return x;
  const power = tf.pow(tf.maximum(x, tf.fill([], TINY)), gamma);
  return tf.mul(power, tf.step(x));
}

/** Whole parts that magnitudes are rounded to: one bit of signed tensors is the sign. */
const partsOf = ({ scheme, nonNegative }: QuantizerSite): number =>
  nonNegative ? 2 ** scheme.bitWidth - 1 : 2 ** (scheme.bitWidth - 1) - 1;

const interval = intervalQuantizer({ learnsGamma: true, gradientScale: () => 0.01 });

/** Quantization Interval Learning: which magnitudes are pruned, kept and clipped is learned. */
export const qil = {
  name: "qil",
  title: "QIL",
  version: 2,
  source: {
    title:
      "Learning to Quantize Deep Networks by Optimizing Quantization Intervals with Task Loss (Jung et al., CVPR 2019)",
    url: "https://arxiv.org/abs/1808.05779",
  },
  deviations: [
    "Runs on the academic setting alone: its output is normalized to [-1, 1], which only a batch norm behind the convolution absorbs.",
    "The first interval covers the calibrated extremes: center and distance start at half of the largest magnitude.",
    "Gradients of center and distance are scaled by 0.01, the paper's learning rate ratio; gamma shares the weights' rate.",
    "Activations that can be negative are treated as weights are, with the sign set aside (as in MQBench).",
    "At 8 bits a min-max grid takes its place (as in MQBench).",
  ],
  weight: interval,
  activation: interval,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
