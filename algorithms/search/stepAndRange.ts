import ln from "@stdlib/math-base-special-ln";
import log2 from "@stdlib/math-base-special-log2";
import * as tf from "#tf";
import { perScale, roundAs } from "../affine.js";
import type { Quantizer, QuantizerSite, QuantizerValues } from "../algorithm.js";
import { sumTo } from "../gradients.js";
import {
  keptValues,
  meanStdObserver,
  observeValues,
  roundHalfToEven,
  statistic,
} from "../observers/index.js";

/** How much gradients of rounding are bent; 0 is the straight-through estimator. */
export const BEND = 5e-3;

/** A place of the inverse hyperbolic tangent near its pole, where rounding decides. */
const STEEP = 0.95;
const atanh = (y: number): number => 0.5 * ln((1 + y) / (1 - y));

/** What a slice of a tensor is quantized with. */
interface Slice {
  /** Real units per integer. */
  readonly step: tf.Tensor;
  /** Largest value; all beyond are clipped to it. */
  readonly range: tf.Tensor;
  /** Smallest value; that of the range, mirrored, if absent. */
  readonly lowest?: tf.Tensor;
}

/**
 * What a gradient g through rounding is multiplied with, r being what was rounded away, in steps: EWGS for
 * weights; for activations an inverse hyperbolic tangent, flat near integers and steep between them.
 */
export function multiplier(
  role: QuantizerSite["role"],
  { g, r, bend }: { readonly g: tf.Tensor; readonly r: tf.Tensor; readonly bend: number },
): tf.Tensor {
  if (role === "weight") return tf.add(tf.mul(tf.mul(tf.sign(g), r), bend), 1);
  const y = tf.mul(r, 2 * STEEP);
  const curve = tf.log(tf.div(tf.add(1, y), tf.sub(1, y))); // twice the inverse tangent
  return tf.add(tf.mul(tf.mul(tf.sign(g), curve), (bend * 0.25) / atanh(STEEP)), 1);
}

/**
 * Clips to the range and rounds to whole steps. Inside, x gets the bent gradient; the step gets what rounding
 * changed; the range what was clipped, and nothing else. A lowest value of its own is a constant.
 */
export function stepAndRange(
  x: tf.Tensor,
  { step, range, lowest }: Slice,
  { role, scheme }: Pick<QuantizerSite, "role" | "scheme">,
  bend = BEND,
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, d, most, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const least = lowest ?? tf.neg(most);
    const steps = tf.div(tf.minimum(tf.maximum(values, least), most), d);
    const codes = roundAs(scheme.rounding, steps);
    save([values, most, least, steps, codes]);
    return {
      value: tf.mul(codes, d),
      gradFunc: (g: tf.Tensor, saved: tf.Tensor[]) => {
        const [before, top, bottom] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const [exact, rounded] = saved.slice(3) as [tf.Tensor, tf.Tensor];
        const r = tf.sub(exact, rounded);
        const bent = tf.mul(g, multiplier(role, { g, r, bend }));
        const above = tf.cast(tf.greater(before, top), "float32");
        const below = tf.cast(tf.less(before, bottom), "float32");
        const inside = tf.sub(tf.sub(1, above), below);
        const clipped = lowest === undefined ? tf.sub(above, below) : above;
        return [
          tf.mul(bent, inside),
          sumTo(tf.sub(tf.mul(g, rounded), tf.mul(bent, exact)), d.shape),
          sumTo(tf.mul(bent, clipped), top.shape),
        ];
      },
    };
  });
  return operation(x, step, range);
}

/** Whether integers of a site stand for values from 0 on. */
export const isUnsigned = ({ nonNegative, scheme }: QuantizerSite): boolean =>
  nonNegative && !scheme.signed;

/** Integers above 0 at a width. */
export const codesAbove = (site: QuantizerSite, bits: number): number =>
  2 ** (isUnsigned(site) ? bits : bits - 1) - 1;

/** A step as the site's scheme has it. */
export const usedStep = (step: number, { scheme }: QuantizerSite): number =>
  scheme.scaleForm === "powerOfTwo" ? 2 ** roundHalfToEven(log2(step)) : step;

/** No grid of integers has fewer. */
export const LEAST_BITS = 2;

/** Bits of a slice before rounding says how many they are, and what they change by. */
export interface Bits {
  readonly bits: number;
  readonly byStep: number;
  readonly byRange: number;
}

/**
 * The bits that hold all integers up to range / step, and their gradients with rounding and its ceiling as the
 * identity; none where the least bits hold them.
 */
export function bitsOf(
  { step, range }: { readonly step: number; readonly range: number },
  unsigned: boolean,
  least: number,
): Bits {
  const sign = unsigned ? 0 : 1;
  const largest = roundHalfToEven(range / step);
  const bits = 32 - Math.clz32(largest) + sign; // ceil(log2(largest + 1)), exactly
  if (bits < least) return { bits: least, byStep: 0, byRange: 0 };
  const byRange = 1 / (Math.LN2 * (range / step + 1) * step);
  return { bits, byRange, byStep: (-byRange * range) / step };
}

/** Three deviations around the mean of weights, 99.9 % of the magnitudes of activations. */
const DEVIATIONS = 3;
const SHARE = 0.999;

/** Statistics for first ranges, and ranges with steps that fill a site's bits. */
export const firstSlices: Pick<Quantizer, "observe" | "initialize"> = {
  observe: (x, site) =>
    site.role === "weight" ? meanStdObserver.observe(x, site) : observeValues(x, site),
  initialize(batches, site) {
    const range = perScale(site, (i) => Math.max(reachOf(batches, i, site), LEAST_STEP));
    const above = codesAbove(site, site.scheme.bitWidth);
    return { range, step: { ...range, data: range.data.map((reach) => reach / above) } };
  },
};
/** Of steps and ranges: 2^-12 in the code, which smaller weights than those of its networks need less. */
export const LEAST_STEP = 2 ** -20;

function reachOf(batches: readonly QuantizerValues[], index: number, site: QuantizerSite): number {
  if (site.role === "activation") {
    const sorted = keptValues(batches.slice(0, 1), index).map(Math.abs).sort();
    return sorted[Math.round(SHARE * (sorted.length - 1))] ?? 0;
  }
  const [mean = 0] = statistic(batches, "mean", index);
  return Math.abs(mean) + DEVIATIONS * (statistic(batches, "deviation", index)[0] ?? 0);
}
