import type { ChannelGroup, ImageBatch, Laboratory, Observation } from "../laboratory.js";
import type { QuantizerValues } from "../quantizer.js";
import { candidates, fits, keptThatFit } from "./channelPruning.js";
import { descend, startDescent, type Descent } from "./descent.js";
import type { Kept } from "./keptChannels.js";
import { imagesOf } from "./batches.js";

/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;
/** First rate of the training, in the matrix's peak rates of quantized training. */
const RATE = 5;
/** The part of the training over which channels go; afterwards those that stay learn on. */
const RAMP = 0.5;
/** Steps between two looks at which channels go. */
const INTERVAL = 16;

/** Which channels of a group stay: the tensor [channels] of 1 and 0 among the masks. */
export const maskOf = ({ convolutions: [first = ""] }: ChannelGroup): string => `${first} above`;

/** A training with the image visits of the matrix, over which channels go. */
export interface GradualPruning {
  /** What is trained, by its gradients. */
  readonly first: QuantizerValues;
  /** How much depends on each channel of a group; nothing where all stay. */
  readonly scoresOf: (
    group: ChannelGroup,
    tensors: QuantizerValues,
  ) => readonly number[] | undefined;
  /** Looks at a batch without the channels that are masked. */
  readonly step: (
    tensors: QuantizerValues,
    batch: ImageBatch,
    masks: QuantizerValues,
  ) => Promise<Observation>;
}

interface State {
  readonly descent: Descent;
  readonly steps: number;
  readonly masks: QuantizerValues;
}

/** Steps that the visits allow, and the rate of the first. */
export function trainingOf({ visits, heldOut, epoch, descent }: Laboratory) {
  const [first] = epoch("sparsify 0");
  const perStep = GRADIENT_VISITS * (first?.labels.data.length ?? NaN);
  const steps = Math.max(0, Math.floor((visits.allowed - imagesOf(heldOut)) / perStep));
  return { steps, peak: RATE * descent.rate };
}

/**
 * Trains at a rate that falls to 0 and lets the channels with the smallest scores go, more and more of them until the
 * network fits; until then they may come back.
 */
export async function pruneGradually(
  laboratory: Laboratory,
  { first, scoresOf, step }: GradualPruning,
): Promise<{ readonly tensors: QuantizerValues; readonly kept: Kept }> {
  const { groups, limits, epoch, rounds, descent: rule } = laboratory;
  const { steps, peak } = trainingOf(laboratory);
  const keptOf = (tensors: QuantizerValues, within: Laboratory["limits"]) =>
    keptThatFit(
      laboratory,
      candidates(groups, (group) => scoresOf(group, tensors)),
      within,
    );
  const start = (): State => ({
    ...{ descent: startDescent(first), steps: 0 },
    masks: masksOf(groups, new Map()),
  });
  const { descent, masks } = await rounds("sparsify", start, {
    most: Infinity,
    done: (state) => state.steps >= steps,
    async round(state, index) {
      let { descent: current, steps: count, masks: known } = state;
      for (const batch of epoch(`sparsify ${String(index)}`)) {
        if (count >= steps) break;
        const progress = count / steps;
        if (count % INTERVAL === 0 && !fits(laboratory, keptBy(groups, known), limits))
          known = masksOf(groups, keptOf(current.tensors, limitsAt(laboratory, progress)));
        const { loss, gradients, statistics } = await step(current.tensors, batch, known);
        if (!Number.isFinite(loss))
          throw new RangeError(
            `the loss became ${String(loss)} at step ${String(count + 1)} of making scales sparse`,
          );
        const moved = descend(current, gradients, { ...rule, rate: peak * (1 - progress) });
        current = { ...moved, tensors: { ...moved.tensors, ...statistics } };
        count++;
      }
      return { descent: current, steps: count, masks: known };
    },
  });
  const { tensors } = descent;
  const trained = keptBy(groups, masks);
  return { tensors, kept: fits(laboratory, trained, limits) ? trained : keptOf(tensors, limits) };
}

/** What may be left on the way to the budget: by the cubic schedule of gradual pruning. */
function limitsAt({ limits, cost }: Laboratory, progress: number): Laboratory["limits"] {
  const left = 1 - Math.min(1, progress / RAMP);
  return limits.map(({ unit, allowed }) => {
    const more = Math.max(0, cost({}, unit) - allowed);
    return { unit, allowed: allowed + more * left * left * left };
  });
}

const masksOf = (groups: readonly ChannelGroup[], kept: Kept): QuantizerValues =>
  Object.fromEntries(
    groups.map((group) => {
      const stays = kept.get(group);
      const data = Float32Array.from({ length: group.channels }, (_, channel) =>
        Number(stays?.includes(channel) ?? true),
      );
      return [maskOf(group), { shape: [data.length], data }];
    }),
  );

/** The channels that masks let through, of groups of which some go. */
function keptBy(groups: readonly ChannelGroup[], masks: QuantizerValues): Kept {
  return new Map(
    groups.flatMap((group) => {
      const { data = new Float32Array(0) } = masks[maskOf(group)] ?? {};
      const kept = [...data.keys()].filter((channel) => data[channel] === 1);
      return kept.length < data.length ? [[group, kept] as const] : [];
    }),
  );
}
