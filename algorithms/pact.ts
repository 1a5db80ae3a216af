import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
} from "./algorithm.js";
import {
  fakeQuantize,
  perScale,
  rangeOf,
  usableScale,
  zeroPointOf,
  type Bounds,
} from "./affine.js";
import { squashedWeight } from "./dorefa.js";
import { magnitude, stopGradient, straightThrough, sumTo } from "./gradients.js";

const INITIAL_BOUND = 6;

export const learnedBound: Quantizer = {
  learned: ["alpha", "beta"],
  passes: "exact",
  observe: () => ({}),
  initialize: (_, site) => ({
    alpha: perScale(site, () => INITIAL_BOUND),
    ...(hasLowerBound(site) && { beta: perScale(site, () => -INITIAL_BOUND) }),
  }),
  fakeQuantize(x, values, site) {
    const { scale, zeroPoint } = grid(values, site);
    const clipped = clipLearned(x, bounds(values, site), reachOf({ scale, zeroPoint }, site));
    // Clipping already decides which values get a gradient; the grid covers all that is left.
    return straightThrough(clipped, (y) => fakeQuantize(y, scale, zeroPoint, rangeOf(site)));
  },
  quantParams(values, site) {
    const { scale, zeroPoint } = grid(values, site);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

/** Only an affine grid has a lower bound of its own; a symmetric one mirrors the upper bound. */
const hasLowerBound = (site: QuantizerSite) => !site.nonNegative && !site.scheme.symmetric;

/** The learned bounds. */
export function bounds({ alpha, beta }: QuantizerTensors, site: QuantizerSite): Bounds {
  if (alpha === undefined) throw new TypeError("PACT quantizer without alpha");
  const high = magnitude(alpha);
  if (site.nonNegative) return { low: tf.zerosLike(high), high };
  return { low: tf.neg(beta === undefined ? high : magnitude(beta)), high };
}

/** The integer grid over the learned bounds; they are constants to it (no gradient). */
function grid(values: QuantizerTensors, site: QuantizerSite) {
  const learned = bounds(values, site);
  const [low, high] = [stopGradient(learned.low), stopGradient(learned.high)];
  const { quantMin, quantMax } = rangeOf(site);
  if (site.scheme.symmetric)
    return { scale: usableScale(tf.div(high, quantMax), site.scheme), zeroPoint: undefined };
  const scale = usableScale(tf.div(tf.sub(high, low), quantMax - quantMin), site.scheme);
  return { scale, zeroPoint: zeroPointOf(low, scale, site) };
}

/** What a grid can represent: where the deployed integers saturate. */
export function reachOf(
  {
    scale,
    zeroPoint = 0,
  }: { readonly scale: tf.Tensor; readonly zeroPoint?: tf.Tensor | number | undefined },
  site: QuantizerSite,
): Bounds {
  const { quantMin, quantMax } = rangeOf(site);
  return {
    low: tf.mul(scale, tf.sub(quantMin, zeroPoint)),
    high: tf.mul(scale, tf.sub(quantMax, zeroPoint)),
  };
}

/**
 * Clips to the grid's bounds, which rounding moves up to a step away from the learned ones.
 * Gradients (section 3 of the paper): x passes inside; what lies above goes to the learned upper
 * bound, what lies below to the lower one.
 */
export function clipLearned(x: tf.Tensor, learned: Bounds, limits: Bounds): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [values, low, high, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const above = tf.cast(tf.greaterEqual(values, limits.high), "float32");
    const below = tf.cast(tf.less(values, limits.low), "float32");
    save([above, below]);
    return {
      value: tf.minimum(tf.maximum(values, limits.low), limits.high),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [overflow, underflow] = saved as [tf.Tensor, tf.Tensor];
        const inside = tf.sub(tf.sub(1, overflow), underflow);
        return [
          tf.mul(dy, inside),
          sumTo(tf.mul(dy, underflow), low.shape),
          sumTo(tf.mul(dy, overflow), high.shape),
        ];
      },
    };
  });
  return operation(x, learned.low, learned.high);
}

/** PACT: the clipping bound of each activation is learned. */
export const pact = {
  name: "pact",
  title: "PACT",
  version: 2,
  source: {
    title: "PACT: Parameterized Clipping Activation (Choi et al., 2018)",
    url: "https://arxiv.org/abs/1805.06085",
  },
  deviations: [
    "alpha starts at 6, the second bound at -6 (as in MQBench).",
    "Weights use DoReFa's quantizer, with its deviations (the paper does so too; its SAWB came later).",
    "Activations that can be negative are clipped on both sides: at -alpha on symmetric backends, where what is clipped below takes away from alpha's gradient, at a second learned bound on affine ones (as in MQBench).",
    "Symmetric scale alpha / quantMax, where MQBench divides by 7.5 at 4 bits: there the clipped value rounds beyond the range and alpha gets no gradient.",
    "Values are clipped where the integers saturate, which rounding of zero point or scale moves up to a step away from the learned bound (on signed grids to -8/7 alpha at 4 bits); the device does the same.",
    "alpha shares the weights' weight decay.",
  ],
  weight: squashedWeight,
  activation: learnedBound,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
