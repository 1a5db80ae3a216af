import * as tf from "@tensorflow/tfjs";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import {
  fakeQuantize,
  perScale,
  rangeOf,
  roundSte,
  usableScale,
  valueOf,
  type Bounds,
} from "./affine.js";
import { sumTo } from "./gradients.js";
import { extremes, observeMinMax } from "./observers/index.js";
import { clipLearned, reachOf } from "./pact.js";

/** Where alpha starts, and the largest value it may learn (section 3.3 and the authors' code). */
const INITIAL_ALPHA = 0.2;
const MAX_ALPHA = 0.5;
const MIN_ALPHA = 0.01;

/**
 * The soft staircase of DSQ (equations 3 to 8 of Gong et al., 2019), in steps u = x / scale: within
 * each step a tanh, scaled so that neighbours meet. alpha tells how far it is from a staircase:
 *
 *     k = ln(2 / alpha - 1),  h = 1 / (2 (1 - alpha)),  m = floor(u) + 1/2
 *     v = m + h tanh(k (u - m))
 *
 * The value is then rounded, straight through: the forward pass is that of deployment. As v is
 * beyond m where u is, that is u rounded, and only gradients need the tanh:
 *
 *     dv/du = h k (1 - tanh^2),  dv/dalpha = 2 h^2 tanh - 2 (u - m) / (alpha (2 - alpha) k) dv/du
 *
 * @param x values within the grid's ends
 * @param grid alpha and scale of the same shape
 */
export function softQuantize(
  x: tf.Tensor,
  {
    alpha,
    scale,
    zeroPoint,
  }: {
    readonly alpha: tf.Tensor;
    readonly scale: tf.Tensor;
    readonly zeroPoint?: tf.Tensor | undefined;
  },
  site: QuantizerSite,
): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [values, softness, step, save] = args as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.GradSaveFunc,
    ];
    const quantized = fakeQuantize(values, step, zeroPoint, rangeOf(site));
    save([values, softness, step, quantized]);
    return {
      value: quantized,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [input, a, s, output] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
        const sharpness = tf.log(tf.sub(tf.div(2, a), 1));
        const height = tf.div(0.5, tf.sub(1, a));
        const u = tf.div(input, s);
        const fromMiddle = tf.sub(u, tf.add(tf.floor(u), 0.5));
        const wave = tf.tanh(tf.mul(fromMiddle, sharpness));
        const steepest = tf.mul(height, sharpness);
        const slope = tf.sub(steepest, tf.mul(tf.mul(wave, wave), steepest));
        const dx = tf.mul(dy, slope);
        const sum = (product: tf.Tensor) => sumTo(product, s.shape);
        const byHeight = tf.mul(tf.mul(tf.square(height), 2), sum(tf.mul(dy, wave)));
        const bySharpness = tf.div(
          tf.mul(sum(tf.mul(dx, fromMiddle)), -2),
          tf.mul(tf.mul(a, tf.sub(2, a)), sharpness),
        );
        return [
          dx,
          tf.mul(tf.add(byHeight, bySharpness), s),
          tf.sub(tf.div(sum(tf.mul(dy, output)), s), sum(tf.mul(dx, u))),
        ];
      },
    };
  });
  return operation(x, alpha, scale);
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
    return softQuantize(clipped, { alpha, scale, zeroPoint }, site);
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
  version: 2,
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
