import jstat from "jstat";
import { bitCount } from "../../results/correctImages.js";
import { mean, standardDeviation } from "./moments.js";

/** One trained network on a test set. */
export interface Measurement {
  readonly seed: number;
  /** Share of the test images that are classified right. */
  readonly accuracy: number;
  readonly images: number;
  /** Which ones, as bits; absent in results that do not hold it. */
  readonly correct?: Uint32Array | undefined;
}

/** What an interval takes into account. */
export type Basis = "seeds and test images" | "seeds" | "test images";

/** A difference of accuracies, as shares of images, and how uncertain it is. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
  /** Of Student's t distribution; Infinity is the normal one. */
  readonly degreesOfFreedom: number;
  readonly basis: Basis;
  /** Seeds that both have, or, where the seeds of each group are their own, the fewer of both. */
  readonly seeds: number;
  /** Whether the same images, or at least the same seeds, were compared. */
  readonly paired: boolean;
}

type Pair = readonly [Measurement, Measurement];

/**
 * How much higher the first group's accuracy is than the second's, from every seed there is.
 *
 * - Seeds that both have are paired: the spread of their differences is what another seed may do.
 * - Where it is known which images are right, those are paired too (McNemar, 1947): what other test
 *   images may do. Both variances are added, with degrees of freedom by Satterthwaite, as readings
 *   of several readers are compared over cases (Obuchowski and Rockette, 1995; Hillis, 2007).
 * - With one seed in common, and more on either side, the groups' spread takes the place of the
 *   differences'; with one on both sides, only test images are left to tell.
 *
 * @returns nothing where a group is empty
 */
export function estimateDifference(
  first: readonly Measurement[],
  second: readonly Measurement[],
): Estimate | undefined {
  if (first.length === 0 || second.length === 0) return undefined;
  const bySeed = new Map(second.map((other) => [other.seed, other]));
  const pairs = first.flatMap((one): Pair[] => {
    const other = bySeed.get(one.seed);
    return other === undefined ? [] : [[one, other]];
  });
  if (pairs.length >= 2) return pairedSeeds(pairs);
  if (first.length + second.length >= 3) return separateSeeds(first, second, pairs);
  const [a, b] = [first[0], second[0]];
  if (a === undefined || b === undefined) return undefined;
  const images = imageVariance([[a, b]]);
  return {
    mean: a.accuracy - b.accuracy,
    standardError: Math.sqrt(images ?? independentVariance(a) + independentVariance(b)),
    degreesOfFreedom: Infinity,
    basis: "test images",
    seeds: 1,
    paired: images !== undefined,
  };
}

function pairedSeeds(pairs: readonly Pair[]): Estimate {
  const differences = pairs.map(([a, b]) => a.accuracy - b.accuracy);
  const seeds = (standardDeviation(differences) ?? 0) ** 2 / pairs.length;
  return {
    mean: mean(differences),
    ...combined({ variance: seeds, degreesOfFreedom: pairs.length - 1 }, imageVariance(pairs)),
    seeds: pairs.length,
    paired: true,
  };
}

/** Groups without two common seeds: each one's spread over its own seeds, pooled. */
function separateSeeds(
  first: readonly Measurement[],
  second: readonly Measurement[],
  pairs: readonly Pair[],
): Estimate {
  const [a, b] = [first, second].map((group) => group.map(({ accuracy }) => accuracy));
  if (a === undefined || b === undefined) throw new Error("there are two groups");
  const degreesOfFreedom = a.length + b.length - 2;
  const squares = (values: readonly number[]) =>
    (values.length - 1) * (standardDeviation(values) ?? 0) ** 2;
  const pooled = (squares(a) + squares(b)) / degreesOfFreedom;
  const seeds = { variance: pooled * (1 / a.length + 1 / b.length), degreesOfFreedom };
  return {
    mean: mean(a) - mean(b),
    ...combined(seeds, pairs.length > 0 ? imageVariance(pairs) : undefined),
    seeds: Math.min(a.length, b.length),
    paired: false,
  };
}

/** The sum of what seeds and what images make uncertain. */
function combined(
  seeds: { readonly variance: number; readonly degreesOfFreedom: number },
  images: number | undefined,
): Pick<Estimate, "standardError" | "degreesOfFreedom" | "basis"> {
  const { variance, degreesOfFreedom } = seeds;
  if (images === undefined)
    return { standardError: Math.sqrt(variance), degreesOfFreedom, basis: "seeds" };
  const sum = variance + images;
  return {
    standardError: Math.sqrt(sum),
    // Images are so many that their own degrees of freedom make no difference.
    degreesOfFreedom: variance === 0 ? Infinity : (sum / variance) ** 2 * degreesOfFreedom,
    basis: "seeds and test images",
  };
}

/** Of a proportion of so many images. */
const independentVariance = ({ accuracy, images }: Measurement): number =>
  (accuracy * (1 - accuracy)) / images;

/**
 * Variance that the choice of test images gives to the mean difference, from the images that only
 * one of both classifies right. Two images are added, on which they differ by half in each
 * direction (Agresti and Min, 2005): networks that agree on every image are not known to agree on
 * every other.
 *
 * @returns nothing where it is not known which images are right, or they are not the same
 */
function imageVariance(pairs: readonly Pair[]): number | undefined {
  const images = pairs[0]?.[0].images ?? 0;
  const correct: Bits[] = [];
  for (const [a, b] of pairs) {
    if (a.correct === undefined || b.correct === undefined) return undefined;
    if (a.images !== images || b.images !== images) return undefined;
    correct.push([a.correct, b.correct]);
  }
  const count = images + 2;
  const center = (mean(pairs.map(([a, b]) => a.accuracy - b.accuracy)) * images) / count;
  return ((sumOfSquares(correct) + 1) / count - center ** 2) / count;
}

type Bits = readonly [first: Uint32Array, second: Uint32Array];

/**
 * Sum over images of the square of their mean difference over pairs of networks (1 where only the
 * first is right, -1 where only the second is): a term for each two pairs. Columns of tables compare
 * hundreds of thousands of times, hence plain loops.
 */
function sumOfSquares(pairs: readonly Bits[]): number {
  let squares = 0;
  pairs.forEach((pair, s) => {
    squares += discordant(pair);
    for (const other of pairs.slice(s + 1)) squares += 2 * product(pair, other);
  });
  return squares / pairs.length ** 2;
}

/** Images that only one of both classifies right. */
function discordant([a, b]: Bits): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += bitCount((a[i] ?? 0) ^ (b[i] ?? 0));
  return sum;
}

/** Sum over images of the product of two pairs' differences. */
function product([a, b]: Bits, [c, d]: Bits): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const first = a[i] ?? 0;
    const third = c[i] ?? 0;
    const both = (first ^ (b[i] ?? 0)) & (third ^ (d[i] ?? 0));
    // Where both pairs differ, they do so in the same direction or in opposite ones.
    if (both !== 0) sum += bitCount(both) - 2 * bitCount(both & (first ^ third));
  }
  return sum;
}

/** Half the width of an estimate's interval. */
export function marginOf(
  { standardError, degreesOfFreedom }: Estimate,
  confidence: number,
): number {
  if (standardError === 0) return 0;
  const probability = (1 + confidence) / 2;
  const quantile =
    degreesOfFreedom > MANY
      ? jstat.jStat.normal.inv(probability, 0, 1)
      : jstat.jStat.studentt.inv(probability, degreesOfFreedom);
  return quantile * standardError;
}

/** Two-sided: how likely a difference so far from 0 is where there is none. */
export function pValueOf({ mean: center, standardError, degreesOfFreedom }: Estimate): number {
  if (standardError === 0) return center === 0 ? 1 : 0;
  const distance = -Math.abs(center) / standardError;
  return (
    2 *
    (degreesOfFreedom > MANY
      ? jstat.jStat.normal.cdf(distance, 0, 1)
      : jstat.jStat.studentt.cdf(distance, degreesOfFreedom))
  );
}

/** From here on Student's quantiles are the normal distribution's to three digits. */
const MANY = 2000;
