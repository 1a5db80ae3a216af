import type { ChannelGroup, Found, Laboratory } from "../laboratory.js";
import type { QuantizerValues } from "../quantizer.js";
import { keptFilters, keptParameters, type Kept } from "./keptChannels.js";
import { imagesOf } from "./batches.js";

/** A channel that could go, and how much depends on it. */
export interface Candidate {
  readonly group: ChannelGroup;
  readonly channel: number;
  readonly score: number;
}

/**
 * All channels that could go, the smallest scores of the whole network first; the largest of each group stays.
 *
 * @param scoresOf each channel of a group; nothing where they are not to be told apart
 */
export function candidates(
  groups: readonly ChannelGroup[],
  scoresOf: (group: ChannelGroup) => readonly number[] | undefined,
): readonly Candidate[] {
  return groups
    .filter(({ fixedBy }) => fixedBy === undefined)
    .flatMap((group) =>
      (scoresOf(group) ?? [])
        .map((score, channel) => ({ group, channel, score }))
        .sort((a, b) => a.score - b.score)
        .slice(0, -1),
    )
    .sort((a, b) => a.score - b.score);
}

/** What stays when the first `gone` of the candidates go. */
function keptWithout(groups: readonly ChannelGroup[], gone: readonly Candidate[]): Kept {
  return new Map(
    groups.flatMap((group) => {
      const lost = new Set(gone.filter((one) => one.group === group).map(({ channel }) => channel));
      if (lost.size === 0) return [];
      const all = Array.from({ length: group.channels }, (_, channel) => channel);
      return [[group, all.filter((channel) => !lost.has(channel))] as const];
    }),
  );
}

/** Whether what stays costs no more than the limits. */
export const fits = (
  { cost }: Pick<Laboratory, "cost">,
  kept: Kept,
  limits: Laboratory["limits"],
): boolean =>
  limits.every(({ unit, allowed }) => cost({}, unit, { filters: keptFilters(kept) }) <= allowed);

/**
 * Lets as few of the first candidates go as make the network fit.
 *
 * @param limits the laboratory's, or others on the way there
 * @throws RangeError when even one channel in each layer is too many
 */
export function keptThatFit(
  laboratory: Pick<Laboratory, "groups" | "cost" | "budget">,
  all: readonly Candidate[],
  limits: Laboratory["limits"],
): Kept {
  const without = (count: number) => keptWithout(laboratory.groups, all.slice(0, count));
  const fit = (count: number) => fits(laboratory, without(count), limits);
  if (!fit(all.length))
    throw new RangeError(
      `the budget of ${String(laboratory.budget)} is below what is left with one channel in each layer`,
    );
  let [low, high] = [-1, all.length];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fit(middle)) high = middle;
    else low = middle;
  }
  return without(high);
}

/** The network without the channels that go, judged on the images that are held out if visits are left. */
export async function withKept(
  laboratory: Laboratory,
  tensors: QuantizerValues,
  kept: Kept,
): Promise<Found> {
  const { visits, heldOut, prepare, note } = laboratory;
  const filters = keptFilters(kept);
  const found = { policy: {}, filters, tensors: keptParameters(laboratory, tensors, kept) };
  const images = imagesOf(heldOut);
  if (visits.used + images > visits.allowed) return found;
  const judge = prepare({ filters, by: [], training: false });
  let [correct, loss] = [0, 0];
  for (const batch of heldOut) {
    const seen = await judge(found.tensors, batch);
    correct += seen.correct;
    loss += seen.loss * batch.labels.data.length;
  }
  note({ policy: {}, filters, accuracy: correct / images, loss: loss / images });
  return found;
}
