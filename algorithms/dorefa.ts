import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { coveringGrid, fakeQuantize, MIN_SCALE, perScale, rangeOf, scaleShape } from "./affine.js";
import { multiplesOf, signs } from "./fewLevels.js";
import { fixedGrid } from "./fixedGrid.js";
import { sharedMaximum, stopGradient } from "./gradients.js";
import { coverRange, minMaxObserver } from "./observers/index.js";

const minMaxQuantizer = fixedGrid(minMaxObserver);

/** tanh(w) / max|tanh(w)|. */
export function normalizedTanh(w: tf.Tensor): tf.Tensor {
  const tanh = tf.tanh(w);
  return tf.div(tanh, tf.add(sharedMaximum(tf.abs(tanh)), 1e-5));
}

/**
 * tanh(w) / max|tanh(w)|, rescaled so that the mean magnitude stays that of w: the quantity that
 * is quantized. The maximum and the mean are over the whole tensor, even per channel.
 */
export function squashed(w: tf.Tensor): tf.Tensor {
  return withMagnitudeOf(w, normalizedTanh(w));
}

/** x, rescaled so that its mean magnitude is that of w; the factor is a constant. */
export function withMagnitudeOf(w: tf.Tensor, x: tf.Tensor): tf.Tensor {
  const [before, after] = [w, x].map((y) => tf.mean(tf.abs(stopGradient(y))));
  return tf.mul(x, tf.div(before as tf.Tensor, tf.add(after as tf.Tensor, 1e-12)));
}

/**
 * A quantizer of weights that are transformed first, on a grid over the extremes of the result.
 * The last integer of a symmetric grid lies up to half a step below the largest value.
 */
export function transformedWeight(
  transform: (w: tf.Tensor, site: QuantizerSite) => tf.Tensor,
  passes: "exact" | "rounded",
): Quantizer {
  return {
    learned: [],
    passes,
    observe: () => ({}),
    initialize: () => ({}),
    fakeQuantize(w, _, site) {
      const x = transform(w, site);
      const { scale, zeroPoint } = coveringGrid(x, site);
      return fakeQuantize(x, scale, zeroPoint, { ...rangeOf(site), passes });
    },
    quantParams(_, site, w) {
      if (w === undefined) throw new TypeError("DoReFa's weight grid depends on the weights");
      const { scale, zeroPoint } = coveringGrid(transform(w, site), site);
      return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
    },
  };
}

/** DoReFa's weight quantizer, which PACT uses too (section 2.3 of DoReFa-Net, equation 9). */
export const squashedWeight: Quantizer = transformedWeight(squashed, "exact");

/** Bit width from which activations keep their calibrated range instead of [0, 1]. */
const FULL_RANGE_BITS = 8;

/** Clips activations to [0, 1], or [-1, 1] where they can be negative (equation 11). */
export const unitRange: Quantizer = {
  ...minMaxQuantizer,
  passes: "exact",
  initialize(batches, site) {
    if (site.scheme.bitWidth >= FULL_RANGE_BITS) return minMaxQuantizer.initialize(batches, site);
    const grid = coverRange({ min: site.nonNegative ? 0 : -1, max: 1 }, site);
    return {
      scale: perScale(site, () => Math.max(grid.scale, MIN_SCALE)),
      ...(!site.scheme.symmetric && { zeroPoint: perScale(site, () => grid.zeroPoint) }),
    };
  },
};

const meanOfLayer = (w: tf.Tensor, site: QuantizerSite): tf.Tensor =>
  tf.mul(tf.ones(scaleShape(site)), tf.mean(tf.abs(w)));

/** One bit: the sign of each weight, times the mean magnitude of the layer (equation 7). */
const binaryWeight = multiplesOf({ codes: signs, scale: meanOfLayer }, 1);

const isBinary = ({ scheme }: QuantizerSite): boolean => scheme.bitWidth === 1;

/** DoReFa-Net: weights squashed by tanh, activations clipped to the unit interval. */
export const dorefa = {
  name: "dorefa",
  title: "DoReFa",
  version: 3,
  source: { title: "DoReFa-Net (Zhou et al., 2016)", url: "https://arxiv.org/abs/1606.06160" },
  deviations: [
    "Gradients are not quantized (as in MQBench).",
    "Weights lie on the backend's integer grid, covering the extremes (as in MQBench); the paper's grid of odd multiples has no 0 and no integer zero point.",
    "The last integer of a signed symmetric grid lies up to half a step below the largest weight; what lies beyond it gets no gradient. The paper's grid ends at the largest weight.",
    "The squashed weight is rescaled to the mean magnitude of the weight. Without this the output scale of every layer changes, which only a batch norm behind the convolution absorbs: MQBench, which omits it, does not converge where batch norm is folded.",
    "Where activations can be negative they are clipped to [-1, 1] instead of [0, 1], on signed symmetric grids to the integers' reach, [-16/15, 14/15] at 4 bits.",
    "Activations at 8 bits keep their calibrated range.",
    "The maximum and the means are over the whole layer, also where scales are per channel.",
    "One bit of weights is -1 or 1 times the mean magnitude; of activations 0 or 1, so that tensors of both signs have no such form.",
  ],
  weight: {
    ...squashedWeight,
    fewestBits: 1,
    fakeQuantize: (w, values, site) =>
      (isBinary(site) ? binaryWeight : squashedWeight).fakeQuantize(w, values, site),
    quantParams: (values, site, w) =>
      (isBinary(site) ? binaryWeight : squashedWeight).quantParams(values, site, w),
  },
  activation: { ...unitRange, fewestBits: 1 },
  phases: TRAIN_ALL,
  unsupported: (site) =>
    site.role === "activation" && isBinary(site) && !site.nonNegative
      ? "one bit holds 0 and one sign, and this tensor has both"
      : undefined,
} as const satisfies Algorithm;
