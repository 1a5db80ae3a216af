import * as tf from "@tensorflow/tfjs";
import { quantRange, type QuantRange, type QuantScheme } from "../backends/scheme.js";
import type { QuantizerSite, QuantizerTensors, QuantizerValue } from "./algorithm.js";

/** A quantizer's value, which must be there. */
export function valueOf(values: QuantizerTensors, name: string): tf.Tensor {
  const value = values[name];
  if (value === undefined) throw new TypeError(`quantizer without ${name}`);
  return value;
}

/** float32 machine epsilon: the smallest scale that any quantizer uses. */
export const MIN_SCALE = 2 ** -23;

/** The integers of a site, and how ties are rounded to them. */
export interface CodeRange extends QuantRange {
  readonly rounding?: QuantScheme["rounding"];
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

/** Rounds, with the gradient of the identity (straight-through estimator). */
export function roundSte(x: tf.Tensor, rounding?: CodeRange["rounding"]): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((y) => ({
    value: roundAs(rounding, y as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => dy,
  }));
  return operation(x);
}

/** x, with its gradient multiplied by a constant. */
export function scaleGradient(x: tf.Tensor, factor: number): tf.Tensor {
  const identity = tf.customGrad<tf.Tensor>((y) => ({
    value: tf.clone(y as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => tf.mul(dy, factor),
  }));
  return identity(x);
}

/** x as a constant: no gradient flows into it. */
export function stopGradient(x: tf.Tensor): tf.Tensor {
  return scaleGradient(x, 0);
}

const { LN2 } = Math;

/** 2^round(log2 s), with ds' / ds = s' / s (the gradient through round taken as the identity). */
export function toPowerOfTwo(scale: tf.Tensor): tf.Tensor {
  const exponent = roundSte(tf.div(tf.log(scale), LN2));
  return tf.pow(tf.fill([], 2), exponent);
}

/** The scale as the scheme uses it: positive, and on the power-of-two grid where that is asked. */
export function usableScale(scale: tf.Tensor, scheme: QuantScheme): tf.Tensor {
  const positive = atLeastMinScale(scale);
  return scheme.scaleForm === "powerOfTwo" ? toPowerOfTwo(positive) : positive;
}

/** max(s, MIN_SCALE) with the gradient of the identity, so that a scale can leave the floor. */
const atLeastMinScale: (scale: tf.Tensor) => tf.Tensor = tf.customGrad<tf.Tensor>((scale) => ({
  value: tf.clipByValue(scale as tf.Tensor, MIN_SCALE, 3.4e38),
  gradFunc: (dy: tf.Tensor) => dy,
}));

/**
 * Quantizes and dequantizes, so that training sees the error that deployment will make:
 *
 *     value = (clamp(round(x / scale) + zeroPoint, quantMin, quantMax) - zeroPoint) * scale
 *
 * Rounding is half to even and happens before the zero point is added, as in ONNX QuantizeLinear.
 * Gradients are those of LSQ (Esser et al., 2020, section 2.1, equation 3) and LSQ+ for the zero
 * point, which for constant scale and zero point are the clipped straight-through estimator:
 * inside of the bounds (of x, before rounding) dx = dy, outside dx = 0.
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
        const [, used] = savedTensors(saved);
        const lowest = range.quantMin === 0 ? tf.scalar(0) : tf.mul(used, range.quantMin);
        const highest = tf.mul(used, range.quantMax);
        const { dx, dScale } = gradients(dy, saved, { lowest, highest });
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
  { quantMin, quantMax, rounding }: CodeRange,
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, step, zero, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const lowest = tf.sub(quantMin, zero);
    const highest = tf.sub(quantMax, zero);
    const clamped = tf.minimum(tf.maximum(tf.div(values, step), lowest), highest);
    const quantized = tf.mul(roundAs(rounding, clamped), step);
    save([values, step, quantized, tf.mul(lowest, step), tf.mul(highest, step)]);
    return {
      value: quantized,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [, used, , low, high] = savedTensors(saved);
        const { dx, dScale } = gradients(dy, saved, { lowest: low, highest: high });
        // A clamped value is (bound - zeroPoint) * scale.
        const outside = tf.sub(sumTo(dy, zero.shape), sumTo(dx, zero.shape));
        return [dx, dScale, tf.neg(tf.mul(outside, used))];
      },
    };
  });
  return operation(x, scale, zeroPoint);
}

interface SavedBounds {
  readonly lowest: tf.Tensor;
  readonly highest: tf.Tensor;
}

/**
 * Inside the bounds x passes and the scale gets (quantized - x) / scale, the rounding error in
 * steps; outside x gets nothing and the scale the bound, quantized / scale. Written as sums of
 * products, which take no memory of their own.
 */
function gradients(dy: tf.Tensor, saved: readonly tf.Tensor[], { lowest, highest }: SavedBounds) {
  const [x, scale, quantized] = savedTensors(saved);
  const inside = tf.logicalAnd(tf.greaterEqual(x, lowest), tf.lessEqual(x, highest));
  const dx = tf.mul(dy, tf.cast(inside, "float32"));
  const difference = tf.sub(
    sumTo(tf.mul(dy, quantized), scale.shape),
    sumTo(tf.mul(dx, x), scale.shape),
  );
  return { dx, dScale: tf.div(difference, scale) };
}
function savedTensors(saved: readonly tf.Tensor[]) {
  return saved as unknown as readonly [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
}

/** Sums a gradient over the axes along which its operand was broadcast. */
export function sumTo(gradient: tf.Tensor, shape: readonly number[]): tf.Tensor {
  if (shape.length === 0) return tf.sum(gradient);
  const axes = [...gradient.shape.keys()].filter((axis) => shape[axis] !== gradient.shape[axis]);
  return axes.length === 0 ? gradient : tf.sum(gradient, axes, true);
}

/** Scale and zero point that cover the extremes of x, as constants; the tensor form of `coverRange`. */
export function coveringGrid(x: tf.Tensor, site: QuantizerSite) {
  const axes = sharedAxes(x, site);
  const shape = scaleShape(site);
  return gridOver(
    { low: tf.reshape(tf.min(x, axes), shape), high: tf.reshape(tf.max(x, axes), shape) },
    site,
  );
}

export interface Bounds {
  readonly low: tf.Tensor;
  readonly high: tf.Tensor;
}

/**
 * Scale and zero point of the grid over given bounds, as constants. Symmetric grids reach to the
 * larger magnitude at half a step beyond quantMax, as PyTorch's observers have it.
 */
export function gridOver({ low, high }: Bounds, site: QuantizerSite) {
  const { quantMin, quantMax } = rangeOf(site);
  const steps = quantMax - quantMin;
  const { symmetric, signed } = site.scheme;
  if (symmetric) {
    const reach = tf.maximum(tf.abs(low), tf.abs(high));
    const scale = usableScale(tf.div(reach, signed ? steps / 2 : steps), site.scheme);
    return { scale: stopGradient(scale), zeroPoint: undefined };
  }
  const bottom = tf.clipByValue(low, -3.4e38, 0);
  const top = tf.clipByValue(high, 0, 3.4e38);
  const scale = usableScale(tf.div(tf.sub(top, bottom), steps), site.scheme);
  const zeroPoint = tf.clipByValue(
    tf.sub(quantMin, tf.round(tf.div(bottom, scale))),
    quantMin,
    quantMax,
  );
  return { scale: stopGradient(scale), zeroPoint: stopGradient(zeroPoint) };
}

/** A value with one number for each scale of the site. */
export function perScale(site: QuantizerSite, compute: (index: number) => number): QuantizerValue {
  const shape = scaleShape(site);
  const length = shape.reduce((a, b) => a * b, 1);
  return { shape, data: Float32Array.from({ length }, (_, i) => compute(i)) };
}
