import exp from "@stdlib/math-base-special-exp";
import pow from "@stdlib/math-base-special-pow";
import type { ChannelGroup, Filters } from "../laboratory.js";

/** Channels that a group may have, rising, and how much each choice is preferred. */
export interface Choices {
  readonly widths: readonly number[];
  readonly logits: readonly number[];
  /** Adam's running means of gradients and of their squares. */
  readonly moments: readonly (readonly [number, number])[];
}

/** Of all groups whose channels are searched, by the name of their first convolution. */
export type AllChoices = Readonly<Record<string, Choices>>;

/** How a search calls a group: by its first convolution. */
export const nameOf = ({ convolutions }: ChannelGroup): string => convolutions[0] ?? "";

/** Shares of a layer's channels that it may have at first. */
const SHARES = [0.5, 0.6, 0.7, 0.8, 0.9, 1];

/** The first choices of a group, none of them preferred. */
export function firstChoices({ channels }: ChannelGroup): Choices {
  const widths = [
    ...new Set(SHARES.map((share) => Math.max(1, Math.round(share * channels)))),
  ].sort((a, b) => a - b);
  return { widths, logits: widths.map(() => 0), moments: widths.map(() => [0, 0]) };
}

/** One more choice, preferred as much as the widest so far, and with nothing known of its gradients. */
export const withWider = ({ widths, logits, moments }: Choices, width: number): Choices => ({
  widths: [...widths, width],
  logits: [...logits, logits.at(-1) ?? 0],
  moments: [...moments, [0, 0]],
});

const [KEPT, KEPT_OF_SQUARES, EPSILON] = [0.9, 0.999, 1e-8];

/** A step of Adam along the gradient by the logits (Kingma and Ba, 2015); `step` counts from 1. */
export function moved(
  { widths, logits, moments }: Choices,
  gradient: readonly number[],
  { rate, decay, step }: { readonly rate: number; readonly decay: number; readonly step: number },
): Choices {
  const next = logits.map((logit, i): readonly [number, readonly [number, number]] => {
    const slope = (gradient[i] ?? NaN) + decay * logit;
    const [mean = 0, square = 0] = moments[i] ?? [];
    const first = KEPT * mean + (1 - KEPT) * slope;
    const second = KEPT_OF_SQUARES * square + (1 - KEPT_OF_SQUARES) * slope * slope;
    const speed = first / (1 - pow(KEPT, step));
    const size = Math.sqrt(second / (1 - pow(KEPT_OF_SQUARES, step)));
    return [logit - (rate * speed) / (size + EPSILON), [first, second]];
  });
  return { widths, logits: next.map(([logit]) => logit), moments: next.map(([, own]) => own) };
}

/** The choice that is preferred most; the widest of those that are preferred as much. */
export const preferred = ({ logits }: Choices): number =>
  logits.reduce((best, logit, index) => (logit >= (logits[best] ?? NaN) ? index : best), 0);

export function softmax(logits: readonly number[]): readonly number[] {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Output channels of all searched convolutions, told from one number for each group. */
export const filtersOf = (
  groups: readonly ChannelGroup[],
  widths: (name: string) => number,
): Filters =>
  Object.fromEntries(
    groups.flatMap((group) =>
      group.convolutions.map((name) => [name, widths(nameOf(group))] as const),
    ),
  );
