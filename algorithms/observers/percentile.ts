import { coverRange, type Observer } from "./observer.js";
import { keptValues, observeValues } from "./values.js";

/** Share of the values below the upper bound, and above the lower one. */
const SHARE = 0.9999;

/**
 * True quantiles of the values of all batches together, interpolated between neighbours.
 * MQBench's takes them from the first batch only, or from a histogram.
 */
export const percentileObserver: Observer = {
  name: "percentile",
  clips: true,
  observe: observeValues,
  grid(batches, index, site) {
    const sorted = keptValues(batches, index).sort();
    return coverRange({ min: quantile(sorted, 1 - SHARE), max: quantile(sorted, SHARE) }, site);
  },
};

/** Quantile of sorted values, linear between neighbours (the default of NumPy and R). */
export function quantile(sorted: Float32Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [a = 0, b = a] = [sorted[below], sorted[below + 1]];
  return a + (b - a) * (place - below);
}
