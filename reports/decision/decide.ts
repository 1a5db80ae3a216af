import { differenceOf } from "../measurements.js";
import type { Estimate } from "../statistics/difference.js";
import type { Candidate, Costs } from "./candidates.js";
import { type Margins, MARGINS, standingOf, usabilityOf, type Standing } from "./standing.js";

/** A candidate against the best one. */
export interface Judged extends Candidate {
  readonly difference: Estimate;
  readonly standing: Standing;
}

export interface Decision {
  /** The cheapest that is equivalent to the best; nothing where none is known to be usable. */
  readonly recommended?: Judged;
  /** The most accurate of those that may be used; of all, where there is no such one. */
  readonly best: Judged;
  /** Whether every candidate is known to lose too much: with more seeds, some might not. */
  readonly nothingUsable: boolean;
  /**
   * Those that no other beats in accuracy and every cost, the cheapest first. What is known to be
   * unusable is left out where something else is not.
   */
  readonly front: readonly Judged[];
  /** All candidates with a number, in the order given. */
  readonly judged: readonly Judged[];
  readonly tried: number;
  readonly equivalent: number;
  /** Whether any candidate's network ran faster than its float network. */
  readonly fasterThanFloat: boolean;
}

/** @returns nothing where there are no candidates */
export function decide(candidates: readonly Candidate[], margins = MARGINS): Decision | undefined {
  const isEligible = (candidate: Candidate) => mayBeUsed(candidate, margins);
  const eligible = candidates.filter(isEligible);
  const best = mostAccurate(eligible.length > 0 ? eligible : candidates);
  if (best === undefined) return undefined;
  const judged = candidates.map((candidate) => judge(candidate, best, margins));
  const hopeful = judged.filter(({ change }) => usabilityOf(change, margins) !== "unusable");
  const equals = judged.filter(
    (candidate) => isEligible(candidate) && candidate.standing === "equivalent",
  );
  const recommended = cheapestOf(equals);
  return {
    ...(recommended && { recommended }),
    best: judge(best, best, margins),
    nothingUsable: hopeful.length === 0,
    front: [
      ...new Set([
        ...(recommended ? [recommended] : []),
        ...undominated(hopeful.length > 0 ? hopeful : judged),
      ]),
    ].sort(byCost),
    judged,
    tried: candidates.length,
    equivalent: equals.length,
    fasterThanFloat: candidates.some(({ costs }) => costs.latencyRatio < 1),
  };
}

/** Every seed has a number, better than guessing, and the loss against float is bearable. */
const mayBeUsed = ({ missing, atChance, change }: Candidate, margins: Margins): boolean =>
  missing === 0 && !atChance && usabilityOf(change, margins) === "usable";

/** The highest mean; of equals the cheapest. */
const mostAccurate = (candidates: readonly Candidate[]): Candidate | undefined =>
  candidates.toSorted((a, b) => b.accuracy - a.accuracy || byCost(a, b))[0];

function judge(candidate: Candidate, best: Candidate, margins: Margins): Judged {
  if (sameCells(candidate, best)) return { ...candidate, difference: NONE, standing: "equivalent" };
  const difference = differenceOf(candidate.cells, best.cells);
  if (difference === undefined) throw new Error(`${candidate.algorithm} has no cells`);
  return { ...candidate, difference, standing: standingOf(difference, margins) };
}

const sameCells = (a: Candidate, b: Candidate): boolean => a.cells === b.cells;

/** The best against itself. */
const NONE: Estimate = {
  mean: 0,
  standardError: 0,
  degreesOfFreedom: Infinity,
  basis: "seeds",
  seeds: 0,
  paired: true,
};

/** Latencies that differ by less are the same: a machine that does other things measures so. */
const LATENCY_TOLERANCE = 1.25;
/** So are times to quantize, and all below a second. */
const SECONDS_TOLERANCE = 1.25;
const secondsOf = ({ seconds }: Costs): number => Math.max(1, seconds);

/** By size, then energy; of equals the more accurate first. */
export const byCost = (a: Candidate, b: Candidate): number =>
  a.costs.bytes - b.costs.bytes ||
  energyOrMost(a.costs) - energyOrMost(b.costs) ||
  b.accuracy - a.accuracy ||
  (a.algorithm < b.algorithm ? -1 : 1);

const energyOrMost = ({ energy = Number.MAX_VALUE }: Costs): number => energy;

/** Costs in the order in which they matter, and how much more of each is no more. */
const COSTS: readonly (readonly [cost: (costs: Costs) => number, tolerance: number])[] = [
  [({ bytes }) => bytes, 1],
  [energyOrMost, 1],
  [({ latencyRatio }) => latencyRatio, LATENCY_TOLERANCE],
  [secondsOf, SECONDS_TOLERANCE],
];

/** What has the least of each cost in turn, as far as that can be told; of equals the most accurate. */
export function cheapestOf<T extends Candidate>(candidates: readonly T[]): T | undefined {
  const left = COSTS.reduce<readonly T[]>((rest, [cost, tolerance]) => {
    const least = Math.min(...rest.map(({ costs }) => cost(costs)));
    return rest.filter(({ costs }) => cost(costs) <= least * tolerance);
  }, candidates);
  return left.toSorted((a, b) => b.accuracy - a.accuracy || byCost(a, b))[0];
}

/** Those for which there is no other at least as good in everything, and better in something. */
const undominated = <T extends Candidate>(candidates: readonly T[]): T[] =>
  candidates.filter((one) => !candidates.some((other) => beats(other, one)));

function beats(a: Candidate, b: Candidate): boolean {
  if (a.accuracy < b.accuracy) return false;
  const costs = COSTS.map(
    ([cost, tolerance]) => [cost(a.costs), cost(b.costs), tolerance] as const,
  );
  return (
    costs.every(([ofA, ofB, tolerance]) => ofA <= ofB * tolerance) &&
    (a.accuracy > b.accuracy || costs.some(([ofA, ofB, tolerance]) => ofA * tolerance < ofB))
  );
}
