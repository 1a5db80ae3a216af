import * as tf from "#tf";
import type { Quantizer, QuantizerSite } from "./algorithm.js";
import { scaleShape, sharedAxes, usableScale } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { fixedGrid } from "./fixedGrid.js";
import { mseObserver } from "./observers/index.js";

/** Bit width from which first and last layer have a calibrated grid instead. */
const WIDE_BITS = 8;
const calibrated = fixedGrid(mseObserver);

/** The values that share a scale, summed. */
const sumOf = (x: tf.Tensor, site: QuantizerSite): tf.Tensor =>
  tf.reshape(tf.sum(x, sharedAxes(x, site)), scaleShape(site));

/** The mean magnitude of what shares a scale. */
export const meanMagnitude = (w: tf.Tensor, site: QuantizerSite): tf.Tensor =>
  tf.reshape(tf.mean(tf.abs(w), sharedAxes(w, site)), scaleShape(site));

/** 1 from 0 on, -1 below. */
export const signs = (x: tf.Tensor): tf.Tensor =>
  tf.sub(tf.mul(tf.cast(tf.greaterEqual(x, 0), "float32"), 2), 1);

/** Whole multiples of one scale, both of which follow the weights. */
interface Multiples {
  readonly codes: (w: tf.Tensor, site: QuantizerSite) => tf.Tensor;
  readonly scale: (w: tf.Tensor, site: QuantizerSite) => tf.Tensor;
  /** Magnitude beyond which weights get no gradient; all get theirs if absent. */
  readonly reach?: number;
}

/** Weights on few multiples of a scale that is computed from them, without a gradient of its own. */
export function multiplesOf({ codes, scale, reach }: Multiples, fewestBits: 1 | 2): Quantizer {
  const used = (w: tf.Tensor, site: QuantizerSite) => usableScale(scale(w, site), site.scheme);
  return wideGrid({
    learned: [],
    fewestBits,
    observe: () => ({}),
    initialize: () => ({}),
    fakeQuantize: (w, _, site) => within(w, reach, (x) => tf.mul(codes(x, site), used(x, site))),
    quantParams(_, site, w) {
      if (w === undefined) throw new TypeError(`the scale of "${site.id}" follows its weights`);
      const step = used(w, site);
      return { scale: step, zeroPoint: tf.zerosLike(step) };
    },
  });
}

/** compute(x), with the gradient of the identity up to a magnitude. */
function within(
  x: tf.Tensor,
  reach: number | undefined,
  compute: (x: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [value, save] = args as [tf.Tensor, tf.GradSaveFunc];
    save([value]);
    return {
      value: compute(value),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        reach === undefined
          ? dy
          : tf.mul(dy, tf.cast(tf.lessEqual(tf.abs(saved[0] as tf.Tensor), reach), "float32")),
    };
  });
  return operation(x);
}

/** A quantizer of few bits, with a calibrated grid in the layers that keep 8. */
function wideGrid(few: Quantizer): Quantizer {
  const at = ({ scheme }: QuantizerSite) => (scheme.bitWidth >= WIDE_BITS ? calibrated : few);
  return {
    ...few,
    observe: (w, site) => at(site).observe(w, site),
    initialize: (batches, site) => at(site).initialize(batches, site),
    fakeQuantize: (w, values, site) => at(site).fakeQuantize(w, values, site),
    quantParams: (values, site, w) => at(site).quantParams(values, site, w),
  };
}

/** sign(w) times a scale, in one bit. */
export const binary = (scale: Multiples["scale"]): Quantizer =>
  multiplesOf({ codes: signs, scale, reach: 1 }, 1);

/** Activations as their signs; gradients pass up to 1 (the straight-through estimator of BNN). */
export const signActivation: Quantizer = {
  ...codebookQuantizer({
    learned: [],
    observe: () => ({}),
    initialize: () => ({}),
    fakeQuantize: (x) => within(x, 1, signs),
    codebook: () => ({ levels: tf.tensor1d([-1, 1]), thresholds: tf.tensor1d([0]) }),
  }),
  fewestBits: 1,
};

/** Where ternary weights are 0: up to a part of their mean (TWN) or largest (TTQ) magnitude. */
export const ternaryCodes = (w: tf.Tensor, threshold: tf.Tensor): tf.Tensor =>
  tf.sub(
    tf.cast(tf.greater(w, threshold), "float32"),
    tf.cast(tf.less(w, tf.neg(threshold)), "float32"),
  );

/** The mean magnitude of those that are not 0, of what shares a scale. */
export function meanOfKept(w: tf.Tensor, codes: tf.Tensor, site: QuantizerSite): tf.Tensor {
  const [total, count] = [sumOf(tf.mul(w, codes), site), sumOf(tf.abs(codes), site)];
  return tf.div(total, tf.clipByValue(count, 1, Infinity));
}

/** Why a weight or an activation has no such form, by the bits that there are levels for. */
export function unlessBits(
  { role, scheme, nonNegative }: QuantizerSite,
  bits: Readonly<Record<QuantizerSite["role"], readonly number[]>>,
): string | undefined {
  const { bitWidth, symmetric } = scheme;
  if (!bits[role].includes(bitWidth)) {
    const wide = bits[role].join(" or ");
    return `its ${role}s have ${wide} bits, got ${String(bitWidth)}`;
  }
  if (role === "weight" && bitWidth < WIDE_BITS && !symmetric)
    return "needs a grid that is symmetric about 0";
  if (role === "activation" && bitWidth === 1 && nonNegative)
    return "the signs of what is never negative say nothing";
  return undefined;
}
