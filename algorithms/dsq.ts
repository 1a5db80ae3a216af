import * as tf from "#tf";
import {
  TRAIN_ALL,
  type Algorithm,
  type Quantizer,
  type QuantizerSite,
  type QuantizerTensors,
} from "./algorithm.js";
import { fakeQuantize, perScale, rangeOf, usableScale, valueOf, zeroPointOf } from "./affine.js";
import { magnitude, stopGradient, straightThrough, sumTo } from "./gradients.js";
import { extremes, observeMinMax } from "./observers/index.js";

/** Where alpha starts, and the largest value it may learn (section 3.3 and the authors' code). */
const INITIAL_ALPHA = 0.2;
const MAX_ALPHA = 0.5;
const MIN_ALPHA = 0.01;

/** Where the steps of a soft staircase lie; tensors of one shape, that of scales. */
export interface SoftGrid {
  readonly alpha: tf.Tensor;
  readonly scale: tf.Tensor;
  /** The integer that stands for 0, a constant; 0 if absent. */
  readonly zeroPoint?: tf.Tensor | undefined;
  /** What is learned about the lower end; if absent, steps are counted from 0, which stays. */
  readonly low?: tf.Tensor | undefined;
}

/**
 * The soft staircase of DSQ (equations 3 to 8 of Gong et al., 2019), in steps u = x / scale: within
 * each step a tanh, scaled so that neighbours meet. alpha tells how far it is from a staircase:
 *
 *     k = ln(2 / alpha - 1),  h = 1 / (2 (1 - alpha)),  m = floor(u) + 1/2
 *     v = m + h tanh(k (u - m))
 *
 * What lies beyond the grid is put on its ends (equation 9). The value is then rounded, straight
 * through: the forward pass is that of deployment. As v is beyond m where u is, that is u rounded,
 * and only gradients need the tanh.
 *
 * The value is low + scale n, n whole steps above the lower end, so that the scale gets
 * n - (u - low / scale) dv/du and the lower end 1 - dv/du; beyond the ends dv/du is 0. That the grid
 * is moved to whole steps about 0 passes straight through.
 */
export function softQuantize(x: tf.Tensor, grid: SoftGrid, site: QuantizerSite): tf.Tensor {
  const { alpha, scale, zeroPoint, low } = grid;
  const range = rangeOf(site);
  const [lowest, highest] = [range.quantMin, range.quantMax].map((end) =>
    tf.sub(end, zeroPoint ?? tf.zerosLike(scale)),
  ) as [tf.Tensor, tf.Tensor];
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const save = args[4] as tf.GradSaveFunc;
    const [values, softness, step] = args as Three;
    const quantized = fakeQuantize(values, step, zeroPoint, range);
    save([values, softness, step, quantized, lowest, highest]);
    return {
      value: quantized,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [input, a, s, output, bottom, top] = saved as [...Three, ...Three];
        const sum = (product: tf.Tensor) => sumTo(product, s.shape);
        const steps = tf.div(input, s);
        const u = tf.minimum(tf.maximum(steps, bottom), top);
        const inner = tf.mul(dy, tf.cast(tf.equal(steps, u), "float32"));
        const { dv, dAlpha } = staircaseGradients(inner, u, a);
        const dLow = tf.sub(sum(dy), sum(dv));
        const fromZero = tf.sub(tf.div(sum(tf.mul(dy, output)), s), sum(tf.mul(dv, u)));
        const dScale = low === undefined ? fromZero : tf.sub(fromZero, tf.mul(bottom, dLow));
        return [dv, tf.mul(sumTo(dAlpha, s.shape), s), dScale, dLow];
      },
    };
  });
  return operation(x, alpha, scale, low ?? tf.zerosLike(scale));
}

type Three = [tf.Tensor, tf.Tensor, tf.Tensor];

/**
 * What a gradient of staircases v gives their places u, and the sum that it gives alpha:
 *
 *     dv/du = h k (1 - tanh^2),  dv/dalpha = 2 h^2 tanh - 2 (u - m) / (alpha (2 - alpha) k) dv/du
 */
function staircaseGradients(dy: tf.Tensor, u: tf.Tensor, alpha: tf.Tensor) {
  const sharpness = tf.log(tf.sub(tf.div(2, alpha), 1));
  const height = tf.div(0.5, tf.sub(1, alpha));
  const fromMiddle = tf.sub(u, tf.add(tf.floor(u), 0.5));
  const wave = tf.tanh(tf.mul(fromMiddle, sharpness));
  const steepest = tf.mul(height, sharpness);
  const dv = tf.mul(dy, tf.sub(steepest, tf.mul(tf.mul(wave, wave), steepest)));
  const sum = (product: tf.Tensor) => sumTo(product, alpha.shape);
  const byHeight = tf.mul(tf.mul(tf.square(height), 2), sum(tf.mul(dy, wave)));
  const bySharpness = tf.div(
    tf.mul(sum(tf.mul(dv, fromMiddle)), -2),
    tf.mul(tf.mul(alpha, tf.sub(2, alpha)), sharpness),
  );
  return { dv, dAlpha: tf.add(byHeight, bySharpness) };
}

const softStep: Quantizer = {
  learned: ["lower", "upper", "alpha"],
  passes: "exact",
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
    // Straight through, so that alpha can come back from beyond its limits.
    const alpha = straightThrough(valueOf(values, "alpha"), (a) =>
      tf.clipByValue(a, MIN_ALPHA, MAX_ALPHA),
    );
    return softQuantize(x, { alpha, ...gridBetween(values, site) }, site);
  },
  quantParams(values, site) {
    const { scale, zeroPoint } = gridBetween(values, site);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

/** Only an affine grid has a lower bound of its own; a symmetric one mirrors the upper bound. */
const hasLowerBound = (site: QuantizerSite) => !site.nonNegative && !site.scheme.symmetric;

/**
 * The grid between learned bounds, and the lower one where the grid starts there. Making the scale
 * usable passes gradients straight through, to a power of two as well, so that the ends of the grid
 * have the gradients of the bounds.
 */
function gridBetween(values: QuantizerTensors, site: QuantizerSite) {
  const { quantMin, quantMax } = rangeOf(site);
  const high = magnitude(valueOf(values, "upper"));
  const usable = (width: tf.Tensor, steps: number) =>
    straightThrough(tf.div(width, steps), (scale) => usableScale(scale, site.scheme));
  if (site.scheme.symmetric) return { scale: usable(high, quantMax) };
  const low = site.nonNegative
    ? tf.zerosLike(high)
    : straightThrough(valueOf(values, "lower"), (bound) => tf.neg(tf.relu(tf.neg(bound))));
  const scale = usable(tf.sub(high, low), quantMax - quantMin);
  const zeroPoint = zeroPointOf(stopGradient(low), stopGradient(scale), site);
  return { scale, zeroPoint, low };
}

/** Differentiable Soft Quantization: a soft staircase whose shape and bounds are learned. */
export const dsq = {
  name: "dsq",
  title: "DSQ",
  version: 3,
  source: {
    title:
      "Differentiable Soft Quantization: Bridging Full-Precision and Low-Bit Neural Networks (Gong et al., ICCV 2019)",
    url: "https://arxiv.org/abs/1908.05033",
  },
  deviations: [
    "Bounds give a grid of whole steps about 0, as the backend needs it, where values are clipped too, up to half a step away from the bounds (more where scales are powers of two); the paper's grid starts at the lower bound. Gradients are the paper's: what is clipped belongs to its bound.",
    "Symmetric backends learn the upper bound alone; the lower end of a signed grid follows it (at -8/7 of it at 4 bits).",
    "alpha starts at 0.2 and evolves by gradient descent alone, used between 0.01 and 0.5; the paper's regularization on it is not used.",
    "First bounds are the calibrated extremes.",
  ],
  weight: softStep,
  activation: softStep,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
