import * as tf from "@tensorflow/tfjs";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { MIN_SCALE, perScale, roundSte, valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { scaleGradient } from "./gradients.js";
import { extremes, observeMinMax } from "./observers/index.js";

type Values = Parameters<Quantizer["fakeQuantize"]>[1];

/** Keeps powers and their derivatives finite at 0. */
const TINY = 1e-6;

interface QilOptions {
  /** Whether the curve of the weights' transformation is learned (gamma of the paper). */
  readonly learnsGamma: boolean;
  /** What the gradients of center and distance are multiplied by. */
  readonly gradientScale: (site: QuantizerSite) => number;
}

/**
 * Quantization by learned intervals (equations 4 and 5 of Jung et al., 2019). Magnitudes between
 * center - distance and center + distance are mapped to 0 ... 1, what lies below to 0 and above to
 * 1, then rounded to whole parts.
 */
export function intervalQuantizer({ learnsGamma, gradientScale }: QilOptions): Quantizer {
  const hasGamma = (site: QuantizerSite) => learnsGamma && site.role === "weight";
  const transformation = (values: Values, site: QuantizerSite) => {
    const factor = gradientScale(site);
    const distance = tf.add(tf.abs(scaleGradient(valueOf(values, "distance"), factor)), MIN_SCALE);
    const center = tf.abs(scaleGradient(valueOf(values, "center"), factor));
    const slope = tf.div(0.5, distance);
    const offset = tf.sub(0.5, tf.mul(slope, center));
    const gamma = hasGamma(site) ? tf.abs(valueOf(values, "gamma")) : undefined;
    return { slope, offset, gamma };
  };
  return codebookQuantizer({
    learned: ["center", "distance", "gamma"],
    observe: observeMinMax,
    initialize(batches, site) {
      const half = perScale(site, (i) => {
        const { min, max } = extremes(batches, i);
        return 0.5 * Math.max(-min, max, MIN_SCALE);
      });
      return {
        center: half,
        distance: { ...half, data: Float32Array.from(half.data) },
        ...(hasGamma(site) && { gamma: perScale(site, () => 1) }),
      };
    },
    fakeQuantize(x, values, site) {
      const { slope, offset, gamma } = transformation(values, site);
      const magnitude = site.nonNegative ? x : tf.abs(x);
      const inside = tf.clipByValue(tf.add(tf.mul(magnitude, slope), offset), 0, 1);
      const curved = gamma === undefined ? inside : tf.pow(tf.add(inside, TINY), gamma);
      const parts = partsOf(site);
      const rounded = tf.div(roundSte(tf.mul(curved, parts)), parts);
      return site.nonNegative ? rounded : tf.mul(rounded, tf.sign(x));
    },
    codebook(values, site) {
      const parts = partsOf(site);
      const { slope, offset, gamma } = transformation(values, site);
      const middles = tf.tensor1d(Array.from({ length: parts }, (_, i) => (i + 0.5) / parts));
      const straight =
        gamma === undefined
          ? middles
          : tf.sub(tf.pow(middles, tf.div(1, tf.maximum(gamma, TINY))), TINY);
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

/** Whole parts that magnitudes are rounded to: one bit of signed tensors is the sign. */
const partsOf = ({ scheme, nonNegative }: QuantizerSite): number =>
  nonNegative ? 2 ** scheme.bitWidth - 1 : 2 ** (scheme.bitWidth - 1) - 1;

const interval = intervalQuantizer({ learnsGamma: true, gradientScale: () => 0.01 });

/** Quantization Interval Learning: which magnitudes are pruned, kept and clipped is learned. */
export const qil = {
  name: "qil",
  title: "QIL",
  version: 1,
  source: {
    title:
      "Learning to Quantize Deep Networks by Optimizing Quantization Intervals with Task Loss (Jung et al., CVPR 2019)",
    url: "https://arxiv.org/abs/1808.05779",
  },
  deviations: [
    "Runs on the academic setting alone: its output is normalized to [-1, 1], which only a batch norm behind the convolution absorbs.",
    "Gradients of center and distance are scaled by 0.01, the paper's learning rate ratio; gamma shares the weights' rate.",
    "Activations that can be negative are treated as weights are, with the sign set aside (as in MQBench).",
    "At 8 bits a min-max grid takes its place (as in MQBench).",
  ],
  weight: interval,
  activation: interval,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
