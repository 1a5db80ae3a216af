import log2 from "@stdlib/math-base-special-log2";
import * as tf from "#tf";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "../algorithm.js";
import { MIN_SCALE, perScale, rangeOf, scaleShape, sharedAxes } from "../affine.js";

export interface Grid {
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Chooses scale and zero point from calibration data. */
export interface Observer {
  /** What a matrix calls it; equal to the name of its file. */
  readonly name: string;
  /** Statistics of one batch, as `Quantizer.observe`. */
  readonly observe: (x: tf.Tensor, site: QuantizerSite) => QuantizerTensors;
  /** Its range never exceeds the extremes of the data. */
  readonly clips?: boolean;
  /** The grid of the scale at `index`, from the statistics of all batches. */
  readonly grid: (batches: readonly QuantizerValues[], index: number, site: QuantizerSite) => Grid;
}

/** A quantizer's scale and zeroPoint values as an observer chooses them. */
export function gridsFrom(
  observer: Observer,
  batches: readonly QuantizerValues[],
  site: QuantizerSite,
): QuantizerValues {
  const grids: Grid[] = [];
  const gridAt = (index: number) => (grids[index] ??= observer.grid(batches, index, site));
  const scale = perScale(site, (i) => gridAt(i).scale);
  return site.scheme.symmetric
    ? { scale }
    : { scale, zeroPoint: perScale(site, (i) => gridAt(i).zeroPoint) };
}

/** Which scale belongs to the element at an index of a kernel. */
export function scaleIndex({
  scheme,
  shape,
  channelAxis,
}: QuantizerSite): (index: number) => number {
  if (scheme.granularity === "perTensor") return () => 0;
  const inner = shape.slice(channelAxis + 1).reduce((a, b) => a * b, 1);
  const channels = shape[channelAxis] ?? 1;
  return (index) => Math.floor(index / inner) % channels;
}

/** The least and the greatest value, per tensor or per channel. */
export function observeMinMax(x: tf.Tensor, site: QuantizerSite): QuantizerTensors {
  const axes = sharedAxes(x, site);
  const shape = scaleShape(site);
  return {
    min: tf.reshape(tf.min(x, axes), shape),
    max: tf.reshape(tf.max(x, axes), shape),
  };
}

/** One statistic of the scale at `index`, for every batch. */
export const statistic = (
  batches: readonly QuantizerValues[],
  name: string,
  index: number,
): number[] => batches.map((batch) => batch[name]?.data[index] ?? NaN);

/** The extremes over all batches, for the scale at `index`. */
export const extremes = (batches: readonly QuantizerValues[], index: number): Range => ({
  min: Math.min(...statistic(batches, "min", index)),
  max: Math.max(...statistic(batches, "max", index)),
});

/**
 * Scale and zero point that cover [min, max] and represent 0 exactly, by the rule of PyTorch's
 * observers, which MQBench follows too. Symmetric: scale = max(-min, max) / ((quantMax - quantMin)
 * / 2), so that at 4 bits the extreme value lies at 7.5 steps; unsigned symmetric: max / quantMax.
 */
export function coverRange({ min, max }: Range, site: QuantizerSite): Grid {
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

/** A scale that a scheme can hold: positive, and a power of two where that is asked. */
export function usable(scale: number, { scheme }: QuantizerSite): number {
  const positive = Math.max(Math.fround(scale), MIN_SCALE);
  return scheme.scaleForm === "powerOfTwo" ? 2 ** roundHalfToEven(log2(positive)) : positive;
}

/** What a grid makes of a value, in float32. */
export function quantizerOn(
  { scale, zeroPoint }: Grid,
  site: QuantizerSite,
): (x: number) => number {
  const { quantMin, quantMax } = rangeOf(site);
  const [low, high] = [quantMin - zeroPoint, quantMax - zeroPoint];
  return (x) => {
    const steps = roundHalfToEven(Math.fround(x / scale));
    return Math.fround((steps < low ? low : steps > high ? high : steps) * scale);
  };
}

/** Rounding as IEEE 754, tfjs and ONNX do it; Math.round rounds halves up. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
