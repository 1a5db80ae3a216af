import * as tf from "#tf";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "../algorithm.js";
import { scaleShape } from "../affine.js";
import { extremes, observeMinMax, type Range } from "./observer.js";
import { keptValues, observeValues } from "./values.js";

/** Bins of one batch: so many times finer than those asked for that their edges do not matter. */
const FINE_BINS = 2 ** 16;

/**
 * How many values have which magnitude, counted over all values of a tensor: `counts` of equal bins
 * from 0 to the largest magnitude. Where there are fewer values than bins, the values themselves.
 */
export function observeMagnitudes(x: tf.Tensor, site: QuantizerSite): QuantizerTensors {
  const scales = scaleShape(site).reduce((a, b) => a * b, 1);
  const range = observeMinMax(x, site);
  if (scales > 1 || x.size <= FINE_BINS) return { ...range, ...observeValues(x, site) };
  const magnitudes = tf.abs(tf.reshape<tf.Rank.R1>(x, [-1]));
  const reach = tf.clipByValue(tf.max(magnitudes), 1e-37, 3.4e38);
  const place = tf.mul(tf.div(magnitudes, reach), FINE_BINS);
  const bins = tf.minimum<tf.Tensor1D>(place, FINE_BINS - 1);
  const ofEqualWeight = tf.tensor1d([], "int32");
  const counts = tf.bincount(tf.cast(bins, "int32"), ofEqualWeight, FINE_BINS);
  return { ...range, counts };
}

/** The largest magnitude of a range. */
export const reachOf = ({ min, max }: Range): number => Math.max(-min, max);

/** All batches in one histogram: how many magnitudes are in each of the equal bins from 0 to `reach`. */
export function magnitudeHistogram(
  batches: readonly QuantizerValues[],
  index: number,
  { bins, reach }: { readonly bins: number; readonly reach: number },
): Float64Array {
  const histogram = new Float64Array(bins);
  const add = (magnitude: number, count: number): void => {
    const bin = Math.min(bins - 1, Math.floor((magnitude / reach) * bins));
    histogram[bin] = (histogram[bin] ?? 0) + count;
  };
  for (const batch of batches) {
    const own = reachOf(extremes([batch], index));
    batch["counts"]?.data.forEach((count, fine) => {
      add(((fine + 0.5) / FINE_BINS) * own, count);
    });
    if (batch["counts"] === undefined)
      for (const value of keptValues([batch], index)) add(Math.abs(value), 1);
  }
  return histogram;
}
