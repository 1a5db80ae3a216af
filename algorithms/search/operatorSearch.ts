import pow from "@stdlib/math-base-special-pow";
import type { Found, ImageBatch, Laboratory, Runs } from "../laboratory.js";
import type { OperatorKind, Operators } from "../network.js";
import type { QuantizerValues } from "../quantizer.js";
import { endless, parted } from "./batches.js";
import { descend, startDescent, type Descent } from "./descent.js";
import {
  activated,
  adapted,
  byLogits,
  costsOf,
  derived,
  firstChoice,
  stepped,
  type ActiveOperators,
  type OperatorChoice,
  type OperatorChoices,
} from "./operatorChoices.js";
import {
  asKind,
  chosenParameters,
  firstParameters,
  partInputs,
  partOf,
  prepareSupernet,
  searchedConvolutions,
  type Kinds,
  type SearchedConvolution,
} from "./operatorSupernet.js";

const ALL: readonly OperatorKind[] = ["convolution", "shift", "adder"];
const WITHOUT_PRODUCTS: readonly OperatorKind[] = ["shift", "adder"];

/** Parts of the training, each over the same number of steps: without products, of all, and while operators are searched. */
const STAGES = [
  ...Array.from({ length: 2 }, () => "multiplication-free" as const),
  ...Array.from({ length: 2 }, () => "mixture" as const),
  ...Array.from({ length: 6 }, () => "search" as const),
];
const SEARCHING = STAGES.filter((stage) => stage === "search").length;
/** First rate of weights, in the matrix's peak rates of quantized training. */
const RATE = 5;
/** How far a logit could go in the whole search, if its gradient always had one sign. */
const REACH = 5;
const [FIRST_TEMPERATURE, COOLING] = [5, 0.975];
/** The published 1.2e-10 for each of 1e8 operations. */
const FIRST_COST_WEIGHT = 0.012;
/** Of the budget: a derived network that costs less gives the cost less weight. */
const LEAST_SHARE = 0.8;
/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;

/** A search of operators between two rounds. */
export interface OperatorState {
  readonly descent: Descent;
  readonly choices: OperatorChoices;
  readonly costWeight: number;
}

/** How operators are decided: by the search, at random, or all of one kind. */
export type Decided = "searched" | "random" | OperatorKind;

interface Step {
  readonly seed: string;
  /** Of the whole search, 0 to 1. */
  readonly progress: number;
}

/** A supernet and its preferences, which move in turn. */
export class OperatorSearch {
  readonly searched: readonly SearchedConvolution[];
  readonly #laboratory: Laboratory;
  readonly #runs = new Map<string, Runs>();
  readonly #macs: ReadonlyMap<string, number>;

  constructor(laboratory: Laboratory) {
    this.#laboratory = laboratory;
    this.searched = searchedConvolutions(laboratory);
    const counts = laboratory.layers.map(
      ({ node, work }) => [node.name, work.taps * work.outputChannels * work.outputPixels] as const,
    );
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    this.#macs = new Map(counts.map(([name, count]) => [name, count / total]));
  }

  start(kinds: Kinds): OperatorState {
    const choices = this.searched.map(
      ({ node }) => [node.name, firstChoice(kinds(node.name))] as const,
    );
    return {
      descent: startDescent(firstParameters(this.#laboratory, this.searched, kinds)),
      choices: Object.fromEntries(choices),
      costWeight: FIRST_COST_WEIGHT,
    };
  }

  /** Moves the weights of a supernet of some kinds along the gradient of the loss on a training batch. */
  async trainWeights(
    state: OperatorState,
    batch: ImageBatch,
    { seed, progress, temperature, kinds }: Step & { temperature: number; kinds: Kinds },
  ): Promise<OperatorState> {
    const { descent: rule } = this.#laboratory;
    const tensors = this.#tensorsOf(state, kinds);
    const moved = Object.keys(tensors).filter((name) => !/\/(mean|variance)$/.test(name));
    const run = this.#run("weights", kinds, moved);
    const active = this.#draw(state, { kinds, temperature, seed });
    const parts = partInputs(this.searched, kinds, active);
    const found = await run({ ...tensors, ...parts }, batch);
    if (!Number.isFinite(found.loss))
      throw new RangeError(
        `the loss of the operator search became ${String(found.loss)} at ${seed}`,
      );
    const next = descend(state.descent, found.gradients, {
      ...{ ...rule, rate: RATE * rule.rate * (1 - progress) },
    });
    const all = { ...next.tensors, ...found.statistics };
    return { ...state, descent: { ...next, tensors: all } };
  }

  /**
   * Moves the preferences along the gradient of the loss on a held-out batch and of the cost.
   *
   * @param rate of Adam
   * @returns also how many images were classified right
   */
  async movePreferences(
    state: OperatorState,
    batch: ImageBatch,
    { seed, temperature, rate }: { seed: string; temperature: number; rate: number },
  ): Promise<{ readonly state: OperatorState; readonly correct: number }> {
    const kinds = () => ALL;
    const names = this.searched.flatMap(({ node }) => ALL.map((kind) => partOf(node.name, kind)));
    const run = this.#run("preferences", kinds, names);
    const active = this.#draw(state, { kinds, temperature, seed });
    const parts = partInputs(this.searched, kinds, active);
    const found = await run({ ...this.#tensorsOf(state, kinds), ...parts }, batch);
    const choices = this.searched.map(({ node: { name } }) => {
      const [own, taking] = [choiceOf(state.choices, name), active(name)];
      const costs = costsOf(own, taking, this.#macs.get(name) ?? NaN);
      const byParts = taking.places.map((place, i) => {
        const slope = found.gradients[partOf(name, own.kinds[place] ?? "convolution")]?.data[0];
        return (slope ?? NaN) + state.costWeight * (costs[i] ?? NaN);
      });
      const gradient = byLogits(taking, byParts, temperature);
      return [name, stepped(own, taking, { gradient, rate })] as const;
    });
    return { state: { ...state, choices: Object.fromEntries(choices) }, correct: found.correct };
  }

  /** What every layer is where it is what it prefers. */
  operators(choices: OperatorChoices): Operators {
    return Object.fromEntries(
      this.searched.map(({ node: { name } }) => [name, derived(choiceOf(choices, name))]),
    );
  }

  /** What each layer's active operators are in a step; all have the same chances while preferences rest. */
  #draw(
    { choices }: OperatorState,
    { kinds, temperature, seed }: { kinds: Kinds; temperature: number; seed: string },
  ): (layer: string) => ActiveOperators {
    const random = this.#laboratory.random(`operators ${seed}`);
    const drawn = new Map(
      this.searched.map(({ node: { name } }) => {
        const own = choiceOf(choices, name);
        const among = kinds(name);
        const choice = own.kinds.length === among.length ? own : firstChoice(among);
        return [name, activated(choice, temperature, random)] as const;
      }),
    );
    return (layer) => drawn.get(layer) ?? { places: [], parts: [] };
  }

  /** The parameters that a supernet of some kinds has. */
  #tensorsOf({ descent: { tensors } }: OperatorState, kinds: Kinds): QuantizerValues {
    const own = new Set(
      this.searched.flatMap(({ node, batchNorm }) =>
        kinds(node.name).flatMap((kind) => [asKind(node.name, kind), asKind(batchNorm, kind)]),
      ),
    );
    const replaced = new Set(
      this.searched.flatMap(({ node, batchNorm }) => [node.name, batchNorm]),
    );
    return Object.fromEntries(
      Object.entries(tensors).filter(([name]) => {
        const node = name.slice(0, name.lastIndexOf("/"));
        return node.includes("~") ? own.has(node) : !replaced.has(node);
      }),
    );
  }

  #run(what: string, kinds: Kinds, by: readonly string[]): Runs {
    const key = JSON.stringify([what, this.searched.map(({ node }) => kinds(node.name))]);
    const known =
      this.#runs.get(key) ?? prepareSupernet(this.#laboratory, this.searched, { kinds, by });
    this.#runs.set(key, known);
    return known;
  }
}

function choiceOf(choices: OperatorChoices, layer: string): OperatorChoice {
  const own = choices[layer];
  if (own === undefined) throw new TypeError(`"${layer}" has no choice of operators`);
  return own;
}

/** What layers may be where their operators are decided so. */
function kindsFor(
  { random }: Laboratory,
  searched: readonly SearchedConvolution[],
  decided: Decided,
): Kinds {
  if (decided === "searched") return () => ALL;
  if (decided !== "random") return () => [decided];
  const numbers = random("operators at random");
  const drawn = new Map(
    searched.map(({ node }) => [node.name, ALL[numbers.integer(ALL.length)] ?? "convolution"]),
  );
  return (layer) => [drawn.get(layer) ?? "convolution"];
}

/** Searches the operators of layers, or trains those that are given over as many image visits. */
export async function searchOperators(laboratory: Laboratory, decided: Decided): Promise<Found> {
  const { visits, heldOut, random, rounds, note, cost, budget } = laboratory;
  const search = new OperatorSearch(laboratory);
  const { searched } = search;
  if (searched.length === 0) return { policy: {} };
  const [first] = laboratory.epoch("operators 0 0");
  const size = first?.labels.data.length ?? NaN;
  const judged = heldOut.flatMap((batch) => parted(batch, size));
  const judgedSize = judged[0]?.labels.data.length ?? NaN;
  const isSearched = decided === "searched";
  const searching = isSearched ? SEARCHING * judgedSize : 0;
  const each = Math.floor(visits.allowed / (GRADIENT_VISITS * (STAGES.length * size + searching)));
  const given = kindsFor(laboratory, searched, decided);
  const limits = { least: LEAST_SHARE * budget, most: budget };
  const last = await rounds("operators", () => search.start(given), {
    most: each > 0 ? STAGES.length : 0,
    async round(before, index) {
      const stage = STAGES[index] ?? "search";
      const kinds: Kinds =
        isSearched && stage === "multiplication-free" ? () => WITHOUT_PRODUCTS : given;
      const since = index - (STAGES.length - SEARCHING);
      const temperature = FIRST_TEMPERATURE * pow(COOLING, Math.max(0, since));
      const batches = endless(laboratory, `operators ${String(index)}`);
      let [state, correct] = [before, 0];
      for (let i = 0; i < each; i++) {
        const seed = `${String(index)} ${String(i)}`;
        const progress = (index * each + i) / (STAGES.length * each);
        const held = judged[random(`judged ${seed}`).integer(judged.length)];
        if (isSearched && stage === "search" && held !== undefined) {
          const rate = REACH / (SEARCHING * each);
          const step = { seed: `preferences ${seed}`, temperature, rate };
          const moved = await search.movePreferences(state, held, step);
          state = moved.state;
          correct += moved.correct;
        }
        const { value: batch } = batches.next() as IteratorYieldResult<ImageBatch>;
        const step = { seed: `weights ${seed}`, progress, temperature, kinds };
        state = await search.trainWeights(state, batch, step);
      }
      if (!isSearched || stage !== "search") return state;
      const operators = search.operators(state.choices);
      note({ policy: {}, operators, accuracy: correct / (each * judgedSize) });
      const spent = cost({}, undefined, { operators });
      return { ...state, costWeight: adapted(state.costWeight, spent, limits) };
    },
  });
  const operators = search.operators(last.choices);
  const kindOf = (layer: string) => operators[layer] ?? "convolution";
  return {
    policy: {},
    operators,
    tensors: chosenParameters(last.descent.tensors, searched, kindOf),
  };
}
