import * as tf from "@tensorflow/tfjs";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "./algorithm.js";
import { MIN_SCALE, rangeOf, scaleShape, sharedAxes } from "./affine.js";

/** The least and the greatest value, per tensor or per channel. */
export function observeMinMax(x: tf.Tensor, site: QuantizerSite): QuantizerTensors {
  const axes = sharedAxes(x, site);
  const shape = scaleShape(site);
  return {
    min: tf.reshape(tf.min(x, axes), shape),
    max: tf.reshape(tf.max(x, axes), shape),
  };
}

/** The extremes over all batches, for the scale at `index`. */
export function extremes(
  batches: readonly QuantizerValues[],
  index: number,
): { min: number; max: number } {
  const at = (name: "min" | "max") => batches.map((batch) => batch[name]?.data[index] ?? NaN);
  return { min: Math.min(...at("min")), max: Math.max(...at("max")) };
}

/**
 * Scale and zero point that cover [min, max] and represent 0 exactly, by the rule of PyTorch's
 * observers, which MQBench follows too. Symmetric: scale = max(-min, max) / ((quantMax - quantMin)
 * / 2), so that at 4 bits the extreme value lies at 7.5 steps; unsigned symmetric: max / quantMax.
 */
export function coverRange(
  { min, max }: { readonly min: number; readonly max: number },
  site: QuantizerSite,
): { scale: number; zeroPoint: number } {
  const { quantMin, quantMax } = rangeOf(site);
  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  const { symmetric, signed } = site.scheme;
  const steps = quantMax - quantMin;
  const exact =
    symmetric && signed
      ? Math.max(-low, high) / (steps / 2)
      : (high - (symmetric ? 0 : low)) / steps;
  const scale = usable(exact, site);
  if (symmetric) return { scale, zeroPoint: 0 };
  const zeroPoint = quantMin - roundHalfToEven(Math.fround(low / scale));
  return { scale, zeroPoint: Math.min(Math.max(zeroPoint, quantMin), quantMax) };
}

function usable(scale: number, site: QuantizerSite): number {
  const positive = Math.max(Math.fround(scale), MIN_SCALE);
  return site.scheme.scaleForm === "powerOfTwo"
    ? 2 ** roundHalfToEven(Math.log2(positive))
    : positive;
}

/** Rounding as IEEE 754, tfjs and ONNX do it; Math.round rounds halves up. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
