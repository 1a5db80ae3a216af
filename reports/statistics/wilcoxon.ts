import jstat from "jstat";
import { ranks } from "./ranks.js";

/** With more pairs the distribution is near enough to normal. */
const MOST_EXACT = 25;

export interface SignedRank {
  /** Sum of the ranks of positive differences. */
  readonly statistic: number;
  /** Two-sided. */
  readonly pValue: number;
  /** Differences that are not 0. */
  readonly pairs: number;
}

/**
 * Wilcoxon's signed-rank test of whether paired differences lie around 0 (Wilcoxon, 1945). Zeros
 * are left out, as Wilcoxon did; equal magnitudes share their mean rank. Exact up to 25 pairs, by
 * counting all signs, ties included; else by the normal distribution, with corrections for
 * continuity and ties.
 */
export function signedRankTest(differences: readonly number[]): SignedRank {
  const found = differences.filter((difference) => difference !== 0);
  const pairs = found.length;
  if (pairs === 0) return { statistic: 0, pValue: 1, pairs };
  const ranked = ranks(found.map(Math.abs));
  const statistic = ranked.reduce((sum, rank, i) => sum + ((found[i] ?? 0) > 0 ? rank : 0), 0);
  const pValue = pairs <= MOST_EXACT ? exact(ranked, statistic) : normal(ranked, statistic);
  return { statistic, pValue, pairs };
}

/** Share of all choices of signs whose sum lies as far from the middle. */
function exact(ranked: readonly number[], statistic: number): number {
  // Mean ranks are multiples of a half: twice them are whole numbers.
  const doubled = ranked.map((rank) => Math.round(2 * rank));
  const total = doubled.reduce((a, b) => a + b, 0);
  let ways = new Float64Array(total + 1);
  ways[0] = 1;
  for (const rank of doubled) {
    const next = ways.slice();
    for (let sum = rank; sum <= total; sum++) {
      next[sum] = (next[sum] ?? 0) + (ways[sum - rank] ?? 0);
    }
    ways = next;
  }
  const distance = Math.abs(2 * statistic - total / 2);
  const asFar = ways.reduce(
    (sum, count, doubledSum) => (Math.abs(doubledSum - total / 2) >= distance ? sum + count : sum),
    0,
  );
  return asFar / 2 ** ranked.length;
}

function normal(ranked: readonly number[], statistic: number): number {
  const expected = ranked.reduce((a, b) => a + b, 0) / 2;
  const variance = ranked.reduce((sum, rank) => sum + rank ** 2, 0) / 4;
  const distance = Math.max(0, Math.abs(statistic - expected) - 0.5);
  return Math.min(1, 2 * (1 - jstat.jStat.normal.cdf(distance / Math.sqrt(variance), 0, 1)));
}
