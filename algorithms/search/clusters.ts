import type { Clusters, RandomNumbers } from "../laboratory.js";

/**
 * First centroids of k-means++ (Arthur & Vassilvitskii, 2007): each next one is a value, the likelier the larger
 * its squared distance from those that are chosen.
 */
export function spreadCentroids(
  values: ArrayLike<number>,
  count: number,
  random: RandomNumbers,
): Float64Array {
  const chosen = [values[random.integer(values.length)] ?? 0];
  const distances = new Float64Array(values.length).fill(Infinity);
  while (chosen.length < count) {
    const last = chosen.at(-1) ?? 0;
    let total = 0;
    for (let i = 0; i < distances.length; i++) {
      const gap = (values[i] ?? 0) - last;
      distances[i] = Math.min(distances[i] ?? 0, gap * gap);
      total += distances[i] ?? 0;
    }
    if (total === 0) break; // every value is a centroid
    let left = random.uniform() * total;
    let place = 0;
    while (place < distances.length - 1 && (left -= distances[place] ?? 0) >= 0) place++;
    chosen.push(values[place] ?? 0);
  }
  return padded(chosen, count);
}

/** Centroids in the middle of equally many values each. */
export function quantileCentroids(values: ArrayLike<number>, count: number): Float64Array {
  const sorted = Float64Array.from(values).sort();
  const at = (k: number) => Math.floor(((k + 0.5) * sorted.length) / count);
  return Float64Array.from({ length: count }, (_, k) => sorted[at(k)] ?? 0);
}

function padded(centroids: readonly number[], count: number): Float64Array {
  const rising = Float64Array.from(centroids).sort();
  return Float64Array.from({ length: count }, (_, i) => rising[i] ?? rising.at(-1) ?? 0);
}

/**
 * Lloyd's iterations on numbers: each centroid moves to the mean of the values that are nearest to it.
 *
 * @param centroids rising
 */
export function lloyd(
  values: ArrayLike<number>,
  centroids: ArrayLike<number>,
  iterations: number,
): Clusters {
  const sorted = Float64Array.from(values).sort();
  const sums = new Float64Array(sorted.length + 1);
  sorted.forEach((value, i) => (sums[i + 1] = (sums[i] ?? 0) + value));
  let current = Float64Array.from(centroids);
  for (let i = 0; i < iterations; i++) {
    const ends = [...bordersOf(current)].map((border) => firstFrom(sorted, border));
    current = current.map((centroid, k) => {
      const [from, to] = [k === 0 ? 0 : (ends[k - 1] ?? 0), ends[k] ?? sorted.length];
      return to > from ? ((sums[to] ?? NaN) - (sums[from] ?? NaN)) / (to - from) : centroid;
    });
  }
  const borders = bordersOf(current);
  const labels = Int32Array.from(values, (value) => firstFrom(borders, value, true));
  return averaged(values, { levels: Float32Array.from(current), labels });
}

const bordersOf = (centroids: Float64Array): Float64Array =>
  Float64Array.from({ length: centroids.length - 1 }, (_, k) => {
    return ((centroids[k] ?? NaN) + (centroids[k + 1] ?? NaN)) / 2;
  });

/** How many of the rising numbers are below a value, or at it where `inclusive`. */
function firstFrom(rising: Float64Array, value: number, inclusive = false): number {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = rising[middle] ?? NaN;
    if (at < value || (inclusive && at === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The same clusters of other values: each level is the mean of its cluster, in rising order. */
export function averaged(values: ArrayLike<number>, { levels, labels }: Clusters): Clusters {
  const sums = new Float64Array(levels.length);
  const counts = new Float64Array(levels.length);
  labels.forEach((label, i) => {
    sums[label] = (sums[label] ?? 0) + (values[i] ?? NaN);
    counts[label] = (counts[label] ?? 0) + 1;
  });
  const means = levels.map((level, k) => (counts[k] ? (sums[k] ?? NaN) / (counts[k] ?? 1) : level));
  const order = [...means.keys()].sort((a, b) => (means[a] ?? 0) - (means[b] ?? 0) || a - b);
  const places = new Int32Array(order.length);
  order.forEach((old, place) => (places[old] = place));
  return {
    levels: Float32Array.from(order, (old) => means[old] ?? NaN),
    labels: labels.map((label) => places[label] ?? 0),
  };
}

/** Every value replaced by its cluster's level. */
export const shared = ({ levels, labels }: Clusters): Float32Array =>
  Float32Array.from(labels, (label) => levels[label] ?? NaN);
