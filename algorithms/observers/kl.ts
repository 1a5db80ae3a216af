import ln from "@stdlib/math-base-special-ln";
import type { QuantizerSite } from "../algorithm.js";
import { magnitudeHistogram, observeMagnitudes, reachOf } from "./histogram.js";
import { coverRange, extremes, type Observer, type Range } from "./observer.js";

const BINS = 2048;
/** The smallest threshold that is tried, in bins. */
const FIRST = 128;

/**
 * The threshold whose quantized distribution of magnitudes is closest to the original one by
 * Kullback-Leibler divergence: the entropy calibration of Migacz ("8-bit inference with TensorRT",
 * GTC 2017), as NVIDIA's pytorch-quantization has it for any bit width. Affine ranges, which those do
 * not know, are cut off at the threshold on both sides.
 */
export const klObserver: Observer = {
  name: "kl",
  clips: true,
  observe: observeMagnitudes,
  grid(batches, index, site) {
    const range = extremes(batches, index);
    const reach = reachOf(range);
    if (!(reach > 0)) return coverRange(range, site);
    const histogram = magnitudeHistogram(batches, index, { bins: BINS, reach });
    const threshold = (entropyThreshold(histogram, levelsOnOneSide(range, site)) * reach) / BINS;
    const [min, max] = [Math.max(range.min, -threshold), Math.min(range.max, threshold)];
    return coverRange({ min, max }, site);
  },
};

/** Levels between 0 and the threshold: all where no value is negative and no code is kept for one. */
function levelsOnOneSide({ min }: Range, { scheme }: QuantizerSite): number {
  const { symmetric, signed, bitWidth } = scheme;
  return 2 ** (min < 0 || (symmetric && signed) ? bitWidth - 1 : bitWidth);
}

/**
 * Where to cut a histogram off, in bins: the last of those with the least divergence.
 *
 * The bin of 0 is taken to hold as much as its neighbour. Behind a ReLU it holds half of all values
 * or more, none of which any threshold can hurt; counted, they outweigh all others, and what is
 * clipped hardly matters.
 *
 * @param counts values of each bin of magnitudes
 * @param levels how many levels quantization has between 0 and the threshold
 */
export function entropyThreshold(counts: Float64Array, levels: number): number {
  const bins = Float64Array.from(counts);
  bins[0] = bins[1] ?? 0;
  let best = bins.length;
  let least = Infinity;
  const divergence = divergenceOfThresholds(bins, levels);
  for (let end = FIRST; end <= bins.length; end++) {
    const found = divergence(end);
    if (found <= least) [best, least] = [end, found];
  }
  return best;
}

/**
 * The divergence of the quantized from the original distribution for a threshold behind the bin
 * `end - 1`. In the original, that bin holds what lies beyond as well; in the quantized one it does
 * not, which is the price of clipping. There each level's mass is spread evenly over those of its bins
 * that hold any.
 *
 * With P and Q of total 1, the sum of P log(P / Q) comes apart into sums from the first bin on and a
 * term for each level, so that no bin is looked at.
 */
function divergenceOfThresholds(bins: Float64Array, levels: number): (end: number) => number {
  const sumsOf = (term: (count: number) => number): Float64Array => {
    const sums = new Float64Array(bins.length + 1);
    bins.forEach((count, i) => (sums[i + 1] = (sums[i] ?? 0) + term(count)));
    return sums;
  };
  const masses = sumsOf((count) => count);
  const filled = sumsOf((count) => Number(count > 0));
  const entropies = sumsOf(timesLog);
  const total = masses[bins.length] ?? 0;
  return (end) => {
    const kept = masses[end] ?? 0;
    const last = bins[end - 1] ?? 0;
    const beyond = total - kept;
    // Nothing of the quantized distribution stands for the values beyond.
    if (kept === 0 || (last === 0 && beyond > 0)) return Infinity;
    let crossed = 0;
    let from = 0;
    for (let level = 1; level <= levels && from < end; level++) {
      const to = Math.ceil((level * end) / levels);
      const mass = (masses[to] ?? 0) - (masses[from] ?? 0);
      const places = (filled[to] ?? 0) - (filled[from] ?? 0);
      if (mass > 0) {
        const original = to === end ? mass + beyond : mass;
        crossed += original * ln(mass / places / kept);
      }
      from = to;
    }
    const own = (entropies[end - 1] ?? 0) + timesLog(last + beyond) - total * ln(total);
    return (own - crossed) / total;
  };
}

const timesLog = (x: number): number => (x > 0 ? x * ln(x) : 0);
