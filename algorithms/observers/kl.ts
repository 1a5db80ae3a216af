import ln from "@stdlib/math-base-special-ln";
import {
  coverRange,
  keptValues,
  observeValues,
  quantizerOn,
  rangeOfValues,
  type Grid,
  type Observer,
} from "./observer.js";

const BINS = 2048;
/** Parts of the extremes that are tried: 1, 0.98, ..., 0.1. */
const TRIED_PARTS = Array.from({ length: 46 }, (_, i) => 1 - i / 50);

/**
 * The range whose quantized distribution is closest to the original one by Kullback-Leibler
 * divergence (the entropy calibration of Migacz, "8-bit inference with TensorRT", GTC 2017).
 *
 * Both distributions live on the same bins, and each level's mass is spread over the bins that
 * it holds and that are not empty: so no bin has mass in the one and none in the other, and the
 * divergence is finite. MQBench's takes two histograms over different ranges; any empty bin makes
 * its cost NaN.
 */
export const klObserver: Observer = {
  name: "kl",
  clips: true,
  observe: observeValues,
  grid(batches, index, site) {
    const values = keptValues(batches, index);
    const { min, max } = rangeOfValues(values);
    if (!(max > min)) return coverRange({ min, max }, site);
    const histogram = histogramOf(values, min, max);
    let best: Grid | undefined;
    let least = Infinity;
    for (const part of TRIED_PARTS) {
      const grid = coverRange({ min: min * part, max: max * part }, site);
      const divergence = klDivergence(histogram, quantizerOn(grid, site));
      if (divergence < least) [best, least] = [grid, divergence];
    }
    return best ?? coverRange({ min, max }, site);
  },
};

interface Histogram {
  readonly counts: Float64Array;
  readonly centers: Float64Array;
}

function histogramOf(values: Float32Array, min: number, max: number): Histogram {
  const width = (max - min) / BINS;
  const counts = new Float64Array(BINS);
  for (const value of values) {
    const bin = Math.min(BINS - 1, Math.floor((value - min) / width));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const centers = Float64Array.from({ length: BINS }, (_, bin) => min + (bin + 0.5) * width);
  return { counts, centers };
}

/**
 * Divergence of the quantized distribution from the original one. What a grid clips piles up in
 * the outermost bins that it reaches in the reference, as TensorRT has it, but not in the
 * quantized distribution: this is what makes clipping cost.
 */
export function klDivergence(
  { counts, centers }: Histogram,
  quantize: (x: number) => number,
): number {
  const levels = Array.from(centers, quantize);
  const distinct = [...new Set(levels)].sort((a, b) => a - b);
  const [lowest = 0, second = lowest] = distinct;
  const [highest = 0, nextHighest = highest] = distinct.toReversed();
  // What lies more than half a step beyond the outermost levels is clipped.
  const [low, high] = [lowest - (second - lowest) / 2, highest + (highest - nextHighest) / 2];
  const inside = Array.from(centers, (center) => center >= low && center <= high);
  const first = inside.indexOf(true);
  const last = inside.lastIndexOf(true);
  if (first < 0) return Infinity;
  const reference = new Float64Array(BINS);
  const total = counts.reduce((a, b) => a + b, 0);
  counts.forEach((count, bin) => {
    const target = Math.min(Math.max(bin, first), last);
    reference[target] = (reference[target] ?? 0) + count / total;
  });
  // Each level's mass of unclipped values, spread over its bins that hold any reference.
  const mass = new Map<number, { sum: number; bins: number }>();
  let kept = 0;
  for (let bin = first; bin <= last; bin++) {
    const level = levels[bin] ?? 0;
    const entry = mass.get(level) ?? { sum: 0, bins: 0 };
    const count = counts[bin] ?? 0;
    kept += count;
    mass.set(level, {
      sum: entry.sum + count,
      bins: entry.bins + Number((reference[bin] ?? 0) > 0),
    });
  }
  let divergence = 0;
  for (let bin = first; bin <= last; bin++) {
    const p = reference[bin] ?? 0;
    if (p === 0) continue;
    const { sum = 0, bins = 1 } = mass.get(levels[bin] ?? 0) ?? {};
    // A level that holds clipped values alone would have no mass: one value's worth stands for it.
    const q = Math.max(sum, 1) / Math.max(kept, 1) / bins;
    divergence += p * ln(p / q);
  }
  return divergence;
}
