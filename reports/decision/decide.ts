import { differenceOf } from "../measurements.js";
import type { Estimate } from "../statistics/difference.js";
import type { Candidate, Costs } from "./candidates.js";
import { standingOf, usabilityOf, type Standing } from "./standing.js";

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
export function decide(candidates: readonly Candidate[]): Decision | undefined {
  const eligible = candidates.filter(isEligible);
  const best = mostAccurate(eligible.length > 0 ? eligible : candidates);
  if (best === undefined) return undefined;
  const judged = candidates.map((candidate) => judge(candidate, best));
  const hopeful = judged.filter(({ change }) => usabilityOf(change) !== "unusable");
  const equals = judged
    .filter((candidate) => isEligible(candidate) && candidate.standing === "equivalent")
    .sort(byCost);
  const [recommended] = eligible.length > 0 ? equals : [];
  return {
    ...(recommended && { recommended }),
    best: judge(best, best),
    nothingUsable: hopeful.length === 0,
    front: undominated(hopeful.length > 0 ? hopeful : judged).sort(byCost),
    judged,
    tried: candidates.length,
    equivalent: equals.length,
    fasterThanFloat: candidates.some(({ costs }) => costs.latencyRatio < 1),
  };
}

/** Every seed has a number, better than guessing, and the loss against float is bearable. */
const isEligible = ({ missing, atChance, change }: Candidate): boolean =>
  missing === 0 && !atChance && usabilityOf(change) === "usable";

/** The highest mean; of equals the cheapest. */
const mostAccurate = (candidates: readonly Candidate[]): Candidate | undefined =>
  candidates.toSorted((a, b) => b.accuracy - a.accuracy || byCost(a, b))[0];

function judge(candidate: Candidate, best: Candidate): Judged {
  if (sameCells(candidate, best)) return { ...candidate, difference: NONE, standing: "equivalent" };
  const difference = differenceOf(candidate.cells, best.cells);
  if (difference === undefined) throw new Error(`${candidate.algorithm} has no cells`);
  return { ...candidate, difference, standing: standingOf(difference) };
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

/** Latencies less than about a tenth apart are the same. */
const LATENCY_STEP = 1.1;
/** So are times to quantize less than a quarter apart, and all below a second. */
const SECONDS_STEP = 1.25;

/** Costs as steps that a measurement can tell apart, the one that matters most first. */
function steps({ bytes, energy, latencyRatio, seconds }: Costs): readonly number[] {
  const stepOf = (value: number, step: number) => Math.round(Math.log(value) / Math.log(step));
  return [
    bytes,
    energy ?? Infinity,
    stepOf(latencyRatio, LATENCY_STEP),
    stepOf(Math.max(1, seconds), SECONDS_STEP),
  ];
}

/** By size, then energy, latency and the time to quantize; of equals the more accurate first. */
export function byCost(a: Candidate, b: Candidate): number {
  const [ofA, ofB] = [steps(a.costs), steps(b.costs)];
  const place = ofA.findIndex((step, i) => step !== ofB[i]);
  if (place >= 0) return (ofA[place] ?? 0) < (ofB[place] ?? 0) ? -1 : 1;
  return b.accuracy - a.accuracy || (a.algorithm < b.algorithm ? -1 : 1);
}

/** Those for which there is no other at least as good in everything, and better in something. */
function undominated<T extends Candidate>(candidates: readonly T[]): T[] {
  const places = candidates.map((candidate) => ({
    candidate,
    costs: [-candidate.accuracy, ...steps(candidate.costs)],
  }));
  return places
    .filter(({ costs }) => !places.some((other) => beats(other.costs, costs)))
    .map(({ candidate }) => candidate);
}

const beats = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((cost, i) => cost <= (b[i] ?? NaN)) && a.some((cost, i) => cost < (b[i] ?? NaN));
