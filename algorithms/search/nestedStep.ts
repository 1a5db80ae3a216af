import * as tf from "#tf";
import {
  MIN_SCALE,
  perScale,
  roundAs,
  scaleShape,
  sharedAxes,
  usableScale,
  valueOf,
} from "../affine.js";
import type { Quantizer, QuantizerSite, QuantizerTensors } from "../algorithm.js";
import { sumTo } from "../gradients.js";
import { statistic } from "../observers/index.js";
import { centerOf, TOP_BITS } from "./nestedCodes.js";

const HIGHEST = 2 ** (TOP_BITS - 1) - 1;
const LOWEST = -(2 ** (TOP_BITS - 1));
/** Standard deviations that the first codes reach, if no weight is less far out. */
const REACH = 3.5;

/** What a width changes in how weights are quantized, as numbers or as inputs of a step. */
export interface Nesting<Value = tf.Tensor> {
  /** What a code is divided by: 2 for each bit that is dropped. */
  readonly divisor: Value;
  /** Where values lie between two codes; 0 where levels must be whole steps. */
  readonly center: Value;
  /** 1 where no bit is dropped, else 0. */
  readonly isTop: Value;
  /**
   * What the gradient of the step is multiplied by, so that it changes in proportion as weights do (LSQ, section 2.2).
   * LSQ's steps begin at 2 <|w|> / sqrt(Qp), where that is 1 / sqrt(N Qp); these at REACH deviations / 2^(bits - 1).
   */
  readonly gradientScale: Value;
}

/** How weights of a site are quantized at a width. */
export function nestingAt(site: QuantizerSite, bits: number): Nesting<number> {
  const count = site.shape.reduce((a, b) => a * b, 1);
  const perStep = count / scaleShape(site).reduce((a, b) => a * b, 1);
  const isTop = bits === TOP_BITS;
  return {
    divisor: 2 ** (TOP_BITS - bits),
    center: isCentered(site, bits) ? centerOf(bits) : 0,
    isTop: isTop ? 1 : 0,
    gradientScale: 1 / (Math.sqrt(perStep) * (isTop ? HIGHEST : 2 ** (bits - 1))),
  };
}

/** Only where a backend takes any levels may they lie between whole steps. */
const isCentered = ({ scheme }: QuantizerSite, bits: number): boolean =>
  scheme.levels === "any" && bits < TOP_BITS;

/**
 * Weights at a width: the first bits of their codes of 8 bits, times the step of the width.
 *
 * Rounding and dropping bits pass gradients as they come, scaled as the two steps are; the step of the width
 * gets LSQ's gradient, the one of 8 bits none through narrower widths.
 *
 * @param top the step of the codes of 8 bits
 * @param scale the step of the width
 */
export function nestedWeight(
  w: tf.Tensor,
  { top, scale, ...nesting }: Nesting & { readonly top: tf.Tensor; readonly scale: tf.Tensor },
  { scheme }: QuantizerSite,
): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [values, step, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const { divisor, center, isTop, gradientScale } = nesting;
    const clipped = tf.clipByValue(tf.div(values, top), LOWEST, HIGHEST);
    const codes = tf.floor(tf.div(roundAs(scheme.rounding, clipped), divisor));
    const levels = tf.add(codes, center);
    save([values, step, levels, top, divisor, isTop, gradientScale]);
    return {
      value: tf.mul(levels, step),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [given, used, steps, first, divided, whole, factor] = saved as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const inside = tf.logicalAnd(
          tf.greaterEqual(given, tf.mul(first, LOWEST)),
          tf.lessEqual(given, tf.mul(first, HIGHEST)),
        );
        const passed = tf.mul(dy, tf.cast(inside, "float32"));
        const rounded = sumTo(tf.mul(dy, steps), used.shape);
        const exact = tf.div(sumTo(tf.mul(passed, given), used.shape), used);
        const dStep = tf.mul(tf.sub(rounded, tf.mul(exact, whole)), factor);
        return [tf.mul(passed, tf.div(used, tf.mul(first, divided))), dStep];
      },
    };
  });
  return operation(w, scale);
}

/** The steps as they are used: positive, and powers of two where the backend wants them. */
function stepsOf(values: QuantizerTensors, site: QuantizerSite) {
  const scale = usableScale(valueOf(values, "scale"), site.scheme);
  const { top } = values;
  return { scale, top: top === undefined ? scale : usableScale(top, site.scheme) };
}

/** The same with whatever a width changes among the values. */
export function nestedAtRuntime(
  w: tf.Tensor,
  values: QuantizerTensors,
  site: QuantizerSite,
): tf.Tensor {
  const input = (name: keyof Nesting) => valueOf(values, name);
  return nestedWeight(
    w,
    {
      ...stepsOf(values, site),
      ...{ divisor: input("divisor"), center: input("center") },
      ...{ isTop: input("isTop"), gradientScale: input("gradientScale") },
    },
    site,
  );
}

/** Weights whose codes are the first bits of codes of 8 bits (Vertical Layering). */
export const nestedStep: Quantizer = {
  learned: ["scale"],
  observe(w, site) {
    const axes = sharedAxes(w, site);
    const deviation = tf.sqrt(tf.mean(tf.square(w), axes));
    const reach = tf.minimum(tf.max(tf.abs(w), axes), tf.mul(deviation, REACH));
    return { reach: tf.reshape(reach, scaleShape(site)) };
  },
  initialize(batches, site) {
    const step = (bits: number) =>
      perScale(site, (i) => {
        const reaches = statistic(batches, "reach", i);
        const mean = reaches.reduce((a, b) => a + b, 0) / reaches.length;
        return Math.max(mean / 2 ** (bits - 1), MIN_SCALE);
      });
    const { bitWidth } = site.scheme;
    return { scale: step(bitWidth), ...(bitWidth < TOP_BITS && { top: step(TOP_BITS) }) };
  },
  fakeQuantize(w, values, site) {
    const { divisor, center, isTop, gradientScale } = nestingAt(site, site.scheme.bitWidth);
    return nestedWeight(
      w,
      {
        ...stepsOf(values, site),
        ...{ divisor: tf.scalar(divisor), center: tf.scalar(center) },
        ...{ isTop: tf.scalar(isTop), gradientScale: tf.scalar(gradientScale) },
      },
      site,
    );
  },
  quantParams(values, site) {
    const { scale } = stepsOf(values, site);
    return { scale, zeroPoint: tf.zerosLike(scale) };
  },
  codebook(values, site) {
    const { bitWidth } = site.scheme;
    if (!isCentered(site, bitWidth)) return undefined;
    const { scale, top } = stepsOf(values, site);
    const { divisor, center } = nestingAt(site, bitWidth);
    const half = 2 ** (bitWidth - 1);
    const codes = Array.from({ length: 2 * half }, (_, i) => i - half);
    // A code begins where half a step of 8 bits rounds up to its first one, which is even.
    const starts = codes.slice(1).map((code) => code * divisor - 0.5);
    return {
      levels: tf.mul(tf.tensor1d(codes.map((code) => code + center)), tf.reshape(scale, [])),
      thresholds: tf.mul(tf.tensor1d(starts), tf.reshape(top, [])),
    };
  },
};
