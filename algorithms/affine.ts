import * as tf from "#tf";
import { quantRange, type QuantRange, type QuantScheme } from "../backends/scheme.js";
import type { Quantizer, QuantizerSite, QuantizerTensors, QuantizerValue } from "./algorithm.js";
import { stopGradient, straightThrough, sumTo } from "./gradients.js";

/** A quantizer's value, which must be there. */
export function valueOf(values: QuantizerTensors, name: string): tf.Tensor {
  const value = values[name];
  if (value === undefined) throw new TypeError(`quantizer without ${name}`);
  return value;
}

/** float32 machine epsilon: the smallest scale that any quantizer uses. */
export const MIN_SCALE = 2 ** -23;

/** The integers of a site, how ties are rounded to them, and which values get a gradient. */
export interface CodeRange extends QuantRange {
  readonly rounding?: QuantScheme["rounding"];
  /** "exact" if absent. */
  readonly passes?: Exclude<Quantizer["passes"], "all">;
}

export function rangeOf({ scheme }: QuantizerSite): CodeRange {
  const range = quantRange(scheme);
  return scheme.rounding === undefined ? range : { ...range, rounding: scheme.rounding };
}

/** Rounds to whole numbers as the scheme rounds ties. */
export function roundAs(rounding: CodeRange["rounding"], x: tf.Tensor): tf.Tensor {
  const toEven = tf.round(x);
  if (rounding !== "dpu") return toEven;
  const negative = tf.cast(tf.less(x, 0), "float32");
  const up = tf.floor(tf.add(x, 0.5));
  return tf.add(toEven, tf.mul(negative, tf.sub(up, toEven)));
}

/**
 * Shape of a site's scale: [] per tensor; x's rank with 1 on every axis but the channel's per
 * channel, e.g. [1, 1, 1, outChannels].
 */
export function scaleShape({ scheme, shape, channelAxis }: QuantizerSite): number[] {
  if (scheme.granularity === "perTensor") return [];
  return shape.map((size, axis) => (axis === channelAxis ? size : 1));
}

/** The axes of x that share one scale. */
export function sharedAxes(x: tf.Tensor, site: QuantizerSite): number[] {
  const axes = [...x.shape.keys()];
  return site.scheme.granularity === "perTensor"
    ? axes
    : axes.filter((axis) => axis !== site.channelAxis);
}

/** Rounds to even, with the gradient of the identity. */
export const roundSte = (x: tf.Tensor): tf.Tensor => straightThrough(x, (y) => tf.round(y));

const { LN2 } = Math;

/** 2^round(log2 s), with ds' / ds = s' / s (the gradient through round taken as the identity). */
export function toPowerOfTwo(scale: tf.Tensor): tf.Tensor {
  const exponent = roundSte(tf.div(tf.log(scale), LN2));
  return tf.pow(tf.fill([], 2), exponent);
}

/** The scale as the scheme uses it: positive, and on the power-of-two grid where that is asked. */
export function usableScale(scale: tf.Tensor, scheme: QuantScheme): tf.Tensor {
  // With the gradient of the identity, so that a scale can leave the floor.
  const positive = straightThrough(scale, (s) => tf.clipByValue(s, MIN_SCALE, 3.4e38));
  return scheme.scaleForm === "powerOfTwo" ? toPowerOfTwo(positive) : positive;
}

/**
 * Quantizes and dequantizes, so that training sees the error that deployment will make:
 *
 *     value = (clamp(round(x / scale) + zeroPoint, quantMin, quantMax) - zeroPoint) * scale
 *
 * Rounding is half to even and happens before the zero point is added, as in ONNX QuantizeLinear.
 * Gradients are those of LSQ (Esser et al., 2020, section 2.1, equation 3) and LSQ+ for the zero
 * point, which for constant scale and zero point are the clipped straight-through estimator:
 * inside of the bounds dx = dy, outside dx = 0. What is inside is decided before rounding ("exact",
 * as in LSQ) or after it ("rounded", as in TQT and in PyTorch's fake quantization), when values up
 * to half a step beyond the last integer are inside too.
 *
 * @param x any shape; real units
 * @param scale real units per integer step, > 0; [] or as `scaleShape` gives it
 * @param zeroPoint the integer that stands for 0, shape as `scale`; `undefined` for 0
 * @returns the shape of x; real units
 */
export function fakeQuantize(
  x: tf.Tensor,
  scale: tf.Tensor,
  zeroPoint: tf.Tensor | undefined,
  range: CodeRange,
): tf.Tensor {
  return zeroPoint === undefined
    ? fakeQuantizeSymmetric(x, scale, range)
    : fakeQuantizeAffine(x, scale, zeroPoint, range);
}

function fakeQuantizeSymmetric(x: tf.Tensor, scale: tf.Tensor, range: CodeRange): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, step, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const clamped = tf.clipByValue(tf.div(values, step), range.quantMin, range.quantMax);
    const quantized = tf.mul(roundAs(range.rounding, clamped), step);
    save([values, step, quantized]);
    return {
      value: quantized,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const ends = { ...range, lowest: range.quantMin, highest: range.quantMax };
        const { dx, dScale } = gradients(dy, saved, ends);
        return [dx, dScale];
      },
    };
  });
  return operation(x, scale);
}

function fakeQuantizeAffine(
  x: tf.Tensor,
  scale: tf.Tensor,
  zeroPoint: tf.Tensor,
  range: CodeRange,
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, step, zero, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const lowest = tf.sub(range.quantMin, zero);
    const highest = tf.sub(range.quantMax, zero);
    const clamped = tf.minimum(tf.maximum(tf.div(values, step), lowest), highest);
    const quantized = tf.mul(roundAs(range.rounding, clamped), step);
    save([values, step, quantized, lowest, highest]);
    return {
      value: quantized,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [, used, , low, high] = savedTensors(saved);
        const { dx, dScale } = gradients(dy, saved, { ...range, lowest: low, highest: high });
        // A clamped value is (bound - zeroPoint) * scale.
        const outside = tf.sub(sumTo(dy, zero.shape), sumTo(dx, zero.shape));
        return [dx, dScale, tf.neg(tf.mul(outside, used))];
      },
    };
  });
  return operation(x, scale, zeroPoint);
}

/** The ends of a grid in steps from 0, and how values are told to lie between them. */
interface Ends extends Pick<CodeRange, "rounding" | "passes"> {
  readonly lowest: tf.Tensor | number;
  readonly highest: tf.Tensor | number;
}

/**
 * Inside the bounds x passes and the scale gets (quantized - x) / scale, the rounding error in
 * steps; outside x gets nothing and the scale the bound, quantized / scale. Written as sums of
 * products, which take no memory of their own.
 */
function gradients(dy: tf.Tensor, saved: readonly tf.Tensor[], ends: Ends) {
  const [x, scale, quantized] = savedTensors(saved);
  const dx = tf.mul(dy, tf.cast(isInside(x, scale, ends), "float32"));
  const difference = tf.sub(
    sumTo(tf.mul(dy, quantized), scale.shape),
    sumTo(tf.mul(dx, x), scale.shape),
  );
  return { dx, dScale: tf.div(difference, scale) };
}

function isInside(x: tf.Tensor, scale: tf.Tensor, ends: Ends): tf.Tensor {
  const { lowest, highest } = ends;
  if (ends.passes === "rounded") return roundsInside(tf.div(x, scale), ends);
  // A constant 0 can be told from any other bound where steps are compiled.
  const low = lowest === 0 ? tf.scalar(0) : tf.mul(scale, lowest);
  return tf.logicalAnd(tf.greaterEqual(x, low), tf.lessEqual(x, tf.mul(scale, highest)));
}

/** Whether steps round to integers of the grid. */
function roundsInside(steps: tf.Tensor, { lowest, highest, rounding }: Ends): tf.Tensor {
  if (typeof lowest !== "number" || typeof highest !== "number") {
    const codes = roundAs(rounding, steps);
    return tf.logicalAnd(tf.greaterEqual(codes, lowest), tf.lessEqual(codes, highest));
  }
  // The same without rounding, which is slow: half a step beyond an even integer goes to that one.
  const atLeast = lowest % 2 === 0 || rounding === "dpu" ? tf.greaterEqual : tf.greater;
  const atMost = highest % 2 === 0 ? tf.lessEqual : tf.less;
  return tf.logicalAnd(atLeast(steps, lowest - 0.5), atMost(steps, highest + 0.5));
}

function savedTensors(saved: readonly tf.Tensor[]) {
  return saved as unknown as readonly [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
}

/** Scale and zero point that cover the extremes of x, as constants; the tensor form of `coverRange`. */
export function coveringGrid(x: tf.Tensor, site: QuantizerSite) {
  const constant = stopGradient(x);
  const axes = sharedAxes(x, site);
  const shape = scaleShape(site);
  const [low, high] = [tf.min(constant, axes), tf.max(constant, axes)];
  return gridOver({ low: tf.reshape(low, shape), high: tf.reshape(high, shape) }, site);
}

export interface Bounds {
  readonly low: tf.Tensor;
  readonly high: tf.Tensor;
}

/**
 * Scale and zero point of the grid over given bounds, as constants. Symmetric grids reach to the
 * larger magnitude at half a step beyond quantMax, as PyTorch's observers have it.
 */
export function gridOver(bounds: Bounds, site: QuantizerSite) {
  const [low, high] = [stopGradient(bounds.low), stopGradient(bounds.high)];
  const { quantMin, quantMax } = rangeOf(site);
  const steps = quantMax - quantMin;
  const { symmetric, signed } = site.scheme;
  if (symmetric) {
    const reach = tf.maximum(tf.abs(low), tf.abs(high));
    const scale = usableScale(tf.div(reach, signed ? steps / 2 : steps), site.scheme);
    return { scale, zeroPoint: undefined };
  }
  const bottom = tf.clipByValue(low, -3.4e38, 0);
  const top = tf.clipByValue(high, 0, 3.4e38);
  const scale = usableScale(tf.div(tf.sub(top, bottom), steps), site.scheme);
  return { scale, zeroPoint: zeroPointOf(bottom, scale, site) };
}

/** The integer that stands for 0 on a grid that starts at `low` <= 0; has no gradient of its own. */
export function zeroPointOf(low: tf.Tensor, scale: tf.Tensor, site: QuantizerSite): tf.Tensor {
  const { quantMin, quantMax } = rangeOf(site);
  return tf.clipByValue(tf.sub(quantMin, tf.round(tf.div(low, scale))), quantMin, quantMax);
}

/** Mean and deviation over some axes, which are kept; divides by N - 1, as PyTorch's `std`. */
export function sampleDeviation(x: tf.Tensor, axes: readonly number[]) {
  const mean = tf.mean(x, [...axes], true);
  const squares = tf.sum(tf.square(tf.sub(x, mean)), [...axes], true);
  const freedom = Math.max(x.size / mean.size - 1, 1); // one value deviates by 0
  return { mean, deviation: tf.sqrt(tf.div(squares, freedom)) };
}

/** A value with one number for each scale of the site. */
export function perScale(site: QuantizerSite, compute: (index: number) => number): QuantizerValue {
  const shape = scaleShape(site);
  const length = shape.reduce((a, b) => a * b, 1);
  return { shape, data: Float32Array.from({ length }, (_, i) => compute(i)) };
}
