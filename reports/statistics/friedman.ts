import jstat from "jstat";
import { CONFIDENCE, mean } from "./moments.js";
import { ranks } from "./ranks.js";

export interface Friedman {
  /** Mean rank of each treatment, 1 the best. */
  readonly meanRanks: readonly number[];
  readonly blocks: number;
  /** Chi-squared, corrected for ties. */
  readonly statistic: number;
  readonly pValue: number;
  /** Mean ranks closer than this are not told apart (Nemenyi). */
  readonly criticalDifference: number;
}

/**
 * Friedman's test of whether treatments differ, over blocks in which all were tried, and Nemenyi's
 * critical difference for all pairs (Demsar, JMLR 2006, section 3.2.2).
 *
 * @param scores by block, then treatment; larger is better
 */
export function friedman(scores: readonly (readonly number[])[]): Friedman {
  const blocks = scores.length;
  const treatments = scores[0]?.length ?? 0;
  if (blocks < 2 || treatments < 2)
    throw new RangeError(
      `Friedman's test needs 2 blocks and 2 treatments, got ${String(blocks)} and ${String(treatments)}`,
    );
  const ranked = scores.map((row) => ranks(row.map((score) => -score)));
  const meanRanks = Array.from({ length: treatments }, (_, t) =>
    mean(ranked.map((row) => row[t] ?? NaN)),
  );
  const expected = (treatments + 1) / 2;
  const between = blocks ** 2 * meanRanks.reduce((sum, rank) => sum + (rank - expected) ** 2, 0);
  const within = ranked.flat().reduce((sum, rank) => sum + (rank - expected) ** 2, 0);
  // Where every block ties all treatments, nothing differs.
  const statistic = within === 0 ? 0 : ((treatments - 1) * between) / within;
  return {
    meanRanks,
    blocks,
    statistic,
    pValue: 1 - jstat.jStat.chisquare.cdf(statistic, treatments - 1),
    criticalDifference:
      nemenyiQuantile(treatments) * Math.sqrt((treatments * (treatments + 1)) / (6 * blocks)),
  };
}

/** jstat's stand-in for infinitely many degrees of freedom. */
const MANY = 1e6;

/** Quantile of the studentized range over the square root of 2. */
export const nemenyiQuantile = (treatments: number): number =>
  jstat.jStat.tukey.inv(CONFIDENCE, treatments, MANY) / Math.SQRT2;
