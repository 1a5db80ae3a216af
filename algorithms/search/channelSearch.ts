import cos from "@stdlib/math-base-special-cos";
import type { Quantizer } from "../algorithm.js";
import type { ChannelGroup, Found, ImageBatch, Laboratory } from "../laboratory.js";
import type { QuantizerSite, QuantizerValue } from "../quantizer.js";
import { atChoice, logitGradient, partsOf, sampleTwo } from "./channelMixing.js";
import { endless, parted } from "./batches.js";
import { descend, startDescent, type Descent } from "./descent.js";
import { grown, resized } from "./grownChannels.js";
import { choicesOf, MixedNetwork, sampleOf } from "./mixedNetwork.js";
import { costPull, fittingWidths, limitTerms } from "./widthCost.js";
import {
  filtersOf,
  firstChoices,
  moved,
  softmax,
  withWider,
  type AllChoices,
  type Choices,
} from "./widthChoices.js";

/** A channel search between two rounds. */
export interface ChannelState {
  /** Parameters at the widest choices, scales and shifts at each, values of quantizers. */
  readonly descent: Descent;
  readonly choices: AllChoices;
  /** Steps of weights, and of preferences. */
  readonly steps: number;
  readonly moves: number;
}

/** How a channel search goes. */
export interface ChannelRules {
  readonly quantizers: Readonly<Record<QuantizerSite["role"], Quantizer>>;
  /** Preference for its widest choice from which a group gets a wider one; Infinity: none does. */
  readonly growsAbove: number;
}

const [FIRST_TEMPERATURE, LAST_TEMPERATURE] = [5, 0.5];
/** First rate of weights, in the matrix's peak rates of quantized training. */
const RATE = 5;
/** How far a logit could go in the whole search, if its gradient always had one sign. */
const REACH = 5;
const LOGIT_DECAY = 1e-3;
/** By how much a group grows at once, and how wide it gets at most, in its channels. */
const [GROWTH, CAP] = [1 / 8, 2];
/** Parts of the search, after each of which groups may grow; preferences wait for the first ones. */
const [ROUNDS, WARM_UP_ROUNDS] = [15, 3];
/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;

/** Falls by half a cosine, from 0 to 1. */
const temperatureAt = (progress: number): number =>
  LAST_TEMPERATURE + ((FIRST_TEMPERATURE - LAST_TEMPERATURE) * (1 + cos(Math.PI * progress))) / 2;

/** What one step of a search is told. */
interface Step {
  /** Its random numbers. */
  readonly seed: string;
  /** Of the whole search, 0 to 1. */
  readonly progress: number;
}

/** Weights, preferences and widths of a mixed network, each of which moves in turn. */
export class ChannelSearch {
  readonly mixed: MixedNetwork;
  readonly #laboratory: Laboratory;
  readonly #rules: ChannelRules;

  constructor(laboratory: Laboratory, rules: ChannelRules) {
    this.#laboratory = laboratory;
    this.#rules = rules;
    this.mixed = new MixedNetwork(laboratory, rules.quantizers);
  }

  async start(): Promise<ChannelState> {
    const choices = Object.fromEntries(
      this.mixed.searched.map(({ name, group }) => [name, firstChoices(group)]),
    );
    const descent = startDescent(await this.mixed.start(choices));
    return { descent, choices, steps: 0, moves: 0 };
  }

  /** Moves the weights along the gradient of the loss on a training batch. */
  async trainWeights(state: ChannelState, batch: ImageBatch, step: Step): Promise<ChannelState> {
    const { descent: rule } = this.#laboratory;
    const { samples, found } = await this.#observe(state, batch, step);
    if (!Number.isFinite(found.loss))
      throw new RangeError(
        `the loss of the channel search became ${String(found.loss)} at step ${String(state.steps + 1)}`,
      );
    const { tensors, velocities } = descend(
      state.descent,
      this.mixed.gradients(state.choices, found.gradients, samples),
      { ...rule, rate: RATE * rule.rate * (1 - step.progress) },
    );
    const descent = { tensors: { ...tensors, ...found.statistics }, velocities };
    return { ...state, descent, steps: state.steps + 1 };
  }

  /**
   * Moves the preferences along the gradient of the loss on a held-out batch and of the cost terms.
   *
   * @param step.all how many such moves the search makes
   * @returns also how many images were classified right
   */
  async movePreferences(
    state: ChannelState,
    batch: ImageBatch,
    step: Step & { readonly all: number },
  ): Promise<{ readonly state: ChannelState; readonly correct: number }> {
    const { samples, found } = await this.#observe(state, batch, step);
    const pull = costPull(this.#laboratory, limitTerms(this.#laboratory), state.choices);
    const temperature = temperatureAt(step.progress);
    const moves = state.moves + 1;
    const choices = Object.fromEntries(
      this.mixed.searched.map(({ name }) => {
        const own = choicesOf(state.choices, name);
        const byParts = found.gradients[partsOf(name)]?.data ?? [];
        const ofLoss = logitGradient(own, sampleOf(samples, name), { byParts, temperature });
        const gradient = ofLoss.map((slope, i) => slope + (pull.get(name)?.[i] ?? 0));
        const rule = { rate: REACH / step.all, decay: LOGIT_DECAY, step: moves };
        return [name, moved(own, gradient, rule)];
      }),
    );
    return { state: { ...state, choices, moves }, correct: found.correct };
  }

  /** Gives every group that prefers its widest choice enough a wider one, and all tensors room for it. */
  expand(state: ChannelState, seed: string): ChannelState {
    const counts = new Map<ChannelGroup, number>();
    const choices: Record<string, Choices> = { ...state.choices };
    for (const { name, group } of this.mixed.searched) {
      const own = choicesOf(state.choices, name);
      const widest = own.widths.at(-1) ?? group.channels;
      const most = CAP * group.channels;
      const preference = softmax(own.logits).at(-1) ?? 0;
      if (preference <= this.#rules.growsAbove || widest >= most) continue;
      const wider = Math.min(most, widest + Math.max(1, Math.round(GROWTH * group.channels)));
      counts.set(group, wider);
      choices[name] = withWider(own, wider);
    }
    const random = this.#laboratory.random(`growth ${seed}`);
    const { tensors, velocities } = grown(this.#laboratory, state.descent, { counts, random });
    const added: Record<string, QuantizerValue> = {};
    for (const { name, group, batchNorms } of this.mixed.searched) {
      const wider = counts.get(group);
      const before = choicesOf(state.choices, name).widths.at(-1) ?? 1;
      if (wider === undefined) continue;
      for (const batchNorm of batchNorms)
        for (const part of ["gamma", "beta"] as const) {
          const copied = tensors[atChoice(batchNorm, part, before)];
          if (copied !== undefined) added[atChoice(batchNorm, part, wider)] = copied;
        }
    }
    return { ...state, choices, descent: { tensors: { ...tensors, ...added }, velocities } };
  }

  /** One run of the mixed network at two choices of each group, which are drawn. */
  async #observe({ choices, descent }: ChannelState, batch: ImageBatch, step: Step) {
    const random = this.#laboratory.random(`widths ${step.seed}`);
    const temperature = temperatureAt(step.progress);
    const samples = new Map(
      this.mixed.searched.map(({ name }) => [
        name,
        sampleTwo(choicesOf(choices, name), temperature, random),
      ]),
    );
    const run = this.mixed.run(choices, descent.tensors);
    const found = await run(this.mixed.inputs(choices, descent.tensors, samples), batch);
    return { samples, found };
  }
}

/** Searches channels: weights and preferences in turn, growth after each round. */
export async function searchChannels(laboratory: Laboratory, rules: ChannelRules): Promise<Found> {
  const { visits, heldOut, epoch, random, rounds, note } = laboratory;
  const search = new ChannelSearch(laboratory, rules);
  const { searched } = search.mixed;
  if (searched.length === 0) return { policy: {} };
  const [first] = epoch("channels 0 0");
  const size = first?.labels.data.length ?? NaN;
  const judged = heldOut.flatMap((batch) => parted(batch, size));
  const judgedSize = judged[0]?.labels.data.length ?? NaN;
  const searching = ROUNDS - WARM_UP_ROUNDS;
  const all = GRADIENT_VISITS * (ROUNDS * size + searching * judgedSize);
  const each = Math.floor(visits.allowed / all);
  const filters = (widths: ReadonlyMap<string, number>) =>
    filtersOf(
      searched.map(({ group }) => group),
      (name) => widths.get(name) ?? 1,
    );
  const last = await rounds("channels", () => search.start(), {
    most: each > 0 ? ROUNDS : 0,
    async round(before, index) {
      let [state, correct] = [before, 0];
      const batches = endless(laboratory, `channels ${String(index)}`);
      const isSearching = index >= WARM_UP_ROUNDS;
      for (let i = 0; i < each; i++) {
        const seed = `${String(index)} ${String(i)}`;
        const progress = (index * each + i) / (ROUNDS * each);
        const { value: batch } = batches.next() as IteratorYieldResult<ImageBatch>;
        state = await search.trainWeights(state, batch, { seed: `weights ${seed}`, progress });
        const held = judged[random(`judged ${seed}`).integer(judged.length)];
        if (!isSearching || held === undefined) continue;
        const step = { seed: `preferences ${seed}`, progress, all: searching * each };
        const found = await search.movePreferences(state, held, step);
        state = found.state;
        correct += found.correct;
      }
      if (!isSearching) return state;
      const widths = fittingWidths({ ...laboratory, limits: [] }, state.choices);
      const accuracy = correct / (each * judgedSize);
      note({ policy: {}, filters: filters(widths), accuracy });
      return index < ROUNDS - 1 ? search.expand(state, String(index)) : state;
    },
  });
  const widths = fittingWidths(laboratory, last.choices);
  const counts = new Map(searched.map(({ name, group }) => [group, widths.get(name) ?? 1]));
  const tensors = resized(laboratory, counts, random("wider"));
  return { policy: {}, filters: filters(widths), tensors };
}
