import * as tf from "@tensorflow/tfjs";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { perScale, rangeOf, roundSte, usableScale, valueOf, type Bounds } from "./affine.js";
import { extremes, observeMinMax } from "./observers/index.js";
import { clipLearned, reachOf } from "./pact.js";

/** Where alpha starts, and the largest value it may learn (section 3.3 and the authors' code). */
const INITIAL_ALPHA = 0.2;
const MAX_ALPHA = 0.5;
const MIN_ALPHA = 0.01;

/**
 * The soft staircase of DSQ in units of one step (equations 3 to 8 of Gong et al., 2019): within
 * each step a tanh, scaled so that neighbours meet. alpha tells how far it is from a staircase:
 *
 *     s = 1 / (1 - alpha),  k = ln(2 / alpha - 1),
 *     v = floor(u) + 0.5 + 0.5 * s * tanh(k * (u - floor(u) - 0.5))
 *
 * The value is then rounded, straight through: the forward pass is that of deployment.
 *
 * @param u values in steps
 */
export function softStaircase(
  u: tf.Tensor,
  alpha: tf.Tensor | number,
  { scheme }: QuantizerSite,
): tf.Tensor {
  const one = tf.sub(1, alpha);
  const sharpness = tf.log(tf.sub(tf.div(2, alpha), 1));
  const floor = tf.floor(u); // no gradient
  const wave = tf.tanh(tf.mul(sharpness, tf.sub(tf.sub(u, floor), 0.5)));
  return roundSte(tf.add(tf.add(floor, 0.5), tf.div(tf.mul(wave, 0.5), one)), scheme.rounding);
}

const softStep: Quantizer = {
  learned: ["lower", "upper", "alpha"],
  observe: observeMinMax,
  initialize(batches, site) {
    const { symmetric } = site.scheme;
    const upper = perScale(site, (i) => {
      const { min, max } = extremes(batches, i);
      return symmetric ? Math.max(-min, max) : max;
    });
    return {
      upper,
      ...(hasLowerBound(site) && { lower: perScale(site, (i) => extremes(batches, i).min) }),
      alpha: perScale(site, () => INITIAL_ALPHA),
    };
  },
  fakeQuantize(x, values, site) {
    const learned = boundsOf(values, site);
    const { scale, zeroPoint } = gridBetween(learned, site);
    const clipped = clipLearned(x, learned, reachOf({ scale, zeroPoint }, site));
    const alpha = tf.clipByValue(valueOf(values, "alpha"), MIN_ALPHA, MAX_ALPHA);
    const codes = softStaircase(tf.div(clipped, scale), alpha, site);
    // The clipped ends lie on the grid up to float32 noise, which rounding removes.
    return tf.mul(codes, scale);
  },
  quantParams(values, site) {
    const { scale, zeroPoint } = gridBetween(boundsOf(values, site), site);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

/** Only an affine grid has a lower bound of its own; a symmetric one mirrors the upper bound. */
const hasLowerBound = (site: QuantizerSite) => !site.nonNegative && !site.scheme.symmetric;

function boundsOf(values: Parameters<Quantizer["fakeQuantize"]>[1], site: QuantizerSite): Bounds {
  const high = tf.abs(valueOf(values, "upper"));
  if (site.nonNegative) return { low: tf.zerosLike(high), high };
  const { lower } = values;
  return { low: lower === undefined ? tf.neg(high) : tf.neg(tf.relu(tf.neg(lower))), high };
}

/** The grid between learned bounds; the scale passes gradients on to them. */
function gridBetween({ low, high }: Bounds, site: QuantizerSite) {
  const { quantMin, quantMax } = rangeOf(site);
  if (site.scheme.symmetric) {
    return { scale: usableScale(tf.div(high, quantMax), site.scheme), zeroPoint: undefined };
  }
  const scale = usableScale(tf.div(tf.sub(high, low), quantMax - quantMin), site.scheme);
  const exact = tf.sub(quantMin, tf.div(low, scale));
  return { scale, zeroPoint: roundSte(tf.clipByValue(exact, quantMin, quantMax)) };
}

/** Differentiable Soft Quantization: a soft staircase whose shape and bounds are learned. */
export const dsq = {
  name: "dsq",
  title: "DSQ",
  version: 1,
  source: {
    title:
      "Differentiable Soft Quantization: Bridging Full-Precision and Low-Bit Neural Networks (Gong et al., ICCV 2019)",
    url: "https://arxiv.org/abs/1908.05033",
  },
  deviations: [
    "Bounds give a grid of whole steps about 0, as the backend needs it; the paper's grid starts at the lower bound. Symmetric backends learn the upper bound alone.",
    "alpha evolves by gradient descent alone, between 0.01 and 0.5; the paper's regularization on it is not used.",
    "First bounds are the calibrated extremes.",
  ],
  weight: softStep,
  activation: softStep,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
