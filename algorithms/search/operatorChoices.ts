import exp from "@stdlib/math-base-special-exp";
import ln from "@stdlib/math-base-special-ln";
import pow from "@stdlib/math-base-special-pow";
import type { RandomNumbers } from "../laboratory.js";
import { OPERATOR_COST, type OperatorKind } from "../network.js";
import { softmax } from "./widthChoices.js";

/** What a layer may be, and how much each of it is preferred. */
export interface OperatorChoice {
  readonly kinds: readonly OperatorKind[];
  readonly logits: readonly number[];
  /** Adam's running means of gradients and of their squares, and how often each was active. */
  readonly moments: readonly (readonly [mean: number, square: number, steps: number])[];
}

/** By layer. */
export type OperatorChoices = Readonly<Record<string, OperatorChoice>>;

/** Of operators that are computed at the same time. */
export const ACTIVE = 2;
/** First preference of all (in the published code). */
const FIRST_LOGIT = 1e-3;

export const firstChoice = (kinds: readonly OperatorKind[]): OperatorChoice => ({
  kinds,
  logits: kinds.map(() => FIRST_LOGIT),
  moments: kinds.map(() => [0, 0, 0]),
});

/** The operators that take part in a step, by their places among the kinds, and with how much of each. */
export interface ActiveOperators {
  readonly places: readonly number[];
  readonly parts: readonly number[];
}

/**
 * The operators with the largest Gumbel samples, and the softmax over these alone.
 *
 * @param temperature that samples are divided by
 */
export function activated(
  { logits }: OperatorChoice,
  temperature: number,
  random: RandomNumbers,
): ActiveOperators {
  const samples = logits.map((logit) => {
    const gumbel = -ln(-ln(Math.min(Math.max(random.uniform(), 1e-12), 1 - 1e-12)));
    return (logit + gumbel) / temperature;
  });
  const places = [...samples.keys()]
    .sort((a, b) => (samples[b] ?? NaN) - (samples[a] ?? NaN) || a - b)
    .slice(0, ACTIVE);
  return { places, parts: softmax(places.map((place) => samples[place] ?? NaN)) };
}

/**
 * The gradient by the logits of active operators, from that by their parts.
 *
 * @param byParts in the order of `places`
 */
export function byLogits(
  { parts }: ActiveOperators,
  byParts: readonly number[],
  temperature: number,
): readonly number[] {
  const mean = parts.reduce((sum, part, i) => sum + part * (byParts[i] ?? NaN), 0);
  return parts.map((part, i) => (part * ((byParts[i] ?? NaN) - mean)) / temperature);
}

const [KEPT, KEPT_OF_SQUARES, EPSILON] = [0.5, 0.999, 1e-8];

/**
 * A step of Adam on the logits of active operators, which are then moved together so that the softmax gives those
 * that were not active what it gave before.
 *
 * @param gradient in the order of `places`
 */
export function stepped(
  { kinds, logits, moments }: OperatorChoice,
  { places }: ActiveOperators,
  { gradient, rate }: { readonly gradient: readonly number[]; readonly rate: number },
): OperatorChoice {
  const next = [...logits];
  const nextMoments = [...moments];
  places.forEach((place, i) => {
    const slope = gradient[i] ?? NaN;
    const [mean = 0, square = 0, steps = 0] = moments[place] ?? [];
    const first = KEPT * mean + (1 - KEPT) * slope;
    const second = KEPT_OF_SQUARES * square + (1 - KEPT_OF_SQUARES) * slope * slope;
    const count = steps + 1;
    const speed = first / (1 - pow(KEPT, count));
    const size = Math.sqrt(second / (1 - pow(KEPT_OF_SQUARES, count)));
    next[place] = (logits[place] ?? NaN) - (rate * speed) / (size + EPSILON);
    nextMoments[place] = [first, second, count];
  });
  const total = (of: readonly number[]) =>
    places.reduce((sum, place) => sum + exp(of[place] ?? NaN), 0);
  const offset = ln(total(logits) / total(next));
  for (const place of places) next[place] = (next[place] ?? NaN) + offset;
  return { kinds, logits: next, moments: nextMoments };
}

/** The operator that is preferred most; the first of those that are preferred as much. */
export const derived = ({ kinds, logits }: OperatorChoice): OperatorKind =>
  kinds[logits.reduce((best, logit, i) => (logit > (logits[best] ?? NaN) ? i : best), 0)] ??
  "convolution";

/** What each active operator of a layer costs, as a share of what all layers cost as convolutions. */
export const costsOf = (
  { kinds }: OperatorChoice,
  { places }: ActiveOperators,
  share: number,
): readonly number[] => places.map((place) => share * OPERATOR_COST[kinds[place] ?? "convolution"]);

/**
 * The weight of the cost after a round: halved where the derived network costs less than is wanted, doubled where
 * it costs more.
 */
export function adapted(
  weight: number,
  cost: number,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  if (cost < least) return weight / 2;
  return cost > most ? weight * 2 : weight;
}
