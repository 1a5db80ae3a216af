import pow from "@stdlib/math-base-special-pow";
import { perScale } from "./affine.js";
import { TRAIN_ALL, type Algorithm, type Quantizer } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import type { Found, Laboratory, Policy, RandomNumbers, SearchedLayer } from "./laboratory.js";
import {
  coverRange,
  extremes,
  klObserver,
  minMaxObserver,
  type Observer,
} from "./observers/index.js";
import { learnedBound } from "./pact.js";
import { accuracyInFloat } from "./search/accuracyInFloat.js";
import { backOff } from "./search/backOff.js";
import {
  actionOf,
  createAgent,
  learn,
  truncatedNormal,
  type Agent,
  type Transition,
} from "./search/ddpg.js";

/** From so many bits on, no weight is clipped. */
const WHOLE_BITS = 5;
/** Where activations are clipped at first, if they reach so far. */
const FIRST_BOUND = 6;

const weightObserver: Observer = {
  name: "haqWeights",
  clips: true,
  observe: klObserver.observe,
  grid: (batches, index, site) =>
    (site.scheme.bitWidth >= WHOLE_BITS ? minMaxObserver : klObserver).grid(batches, index, site),
};

const boundOf = (batches: Parameters<typeof extremes>[0], index: number): number => {
  const { min, max } = extremes(batches, index);
  return Math.min(FIRST_BOUND, Math.max(-min, max));
};

const activationObserver: Observer = {
  name: "haqActivations",
  clips: true,
  observe: minMaxObserver.observe,
  grid(batches, index, site) {
    const bound = boundOf(batches, index);
    return coverRange({ min: site.nonNegative ? 0 : -bound, max: bound }, site);
  },
};

/** PACT's learned bound, which starts from what calibration sees. */
const calibratedBound: Quantizer = {
  ...learnedBound,
  observe: minMaxObserver.observe,
  initialize(batches, site) {
    const starts = learnedBound.initialize(batches, site);
    const bound = (sign: 1 | -1) => perScale(site, (i) => sign * boundOf(batches, i));
    return Object.fromEntries(
      Object.keys(starts).map((name) => [name, bound(name === "beta" ? -1 : 1)]),
    );
  },
};

/** Part of the episodes whose actions are drawn uniformly; at most 20 episodes. */
const WARM_UP_SHARE = 0.15;
const MOST_WARM_UP = 20;
const DEVIATION = 0.5;
const DEVIATION_DECAY = 0.99;
/** Updates look at so many transitions; those of so many episodes are remembered. */
const BATCH = 64;
const REMEMBERED_EPISODES = 128;
const REWARD_PER_POINT = 0.1;
const FIRST_BITS = 4;

/** One decision: what the agent sees of a layer, and whose bits it decides. */
export interface Decision {
  readonly site: string;
  readonly role: "weight" | "activation";
  /** What does not depend on earlier decisions, each feature scaled to [0, 1] over all layers. */
  readonly features: readonly number[];
}

/**
 * The decisions of an episode: layer by layer, weights before what the layer reads. What several layers
 * read is decided once, with the first of them.
 */
export function decisionsOf({ layers, free }: Pick<Laboratory, "layers" | "free">): Decision[] {
  const raw = layers.map(featuresOf);
  const scaled = raw.map((row) =>
    row.map((value, column) => {
      const all = raw.map((other) => other[column] ?? NaN);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      return high > low ? (value - low) / (high - low) : value;
    }),
  );
  const chosen = new Map(free.map(({ id, role }) => [id, role]));
  const decided = new Set<string>();
  return layers.flatMap(({ weights, input }, i) =>
    [weights, ...(input === undefined ? [] : [input])].flatMap((site) => {
      const role = chosen.get(site);
      if (role === undefined || decided.has(site)) return [];
      decided.add(site);
      return [{ site, role, features: scaled[i] ?? [] }];
    }),
  );
}

/** Depthwise or not, channels in and out, stride, window, weights, pixels of the input, place. */
function featuresOf({ node, work }: SearchedLayer, index: number): number[] {
  const first = (pair: number | readonly number[]) =>
    typeof pair === "number" ? pair : (pair[0] ?? 1);
  const isDepthwise = work.kind === "depthwise";
  const window = node.op === "conv2d" ? first(node.kernelSize) : 1;
  const columns =
    node.op === "conv2d" && typeof node.kernelSize !== "number" ? node.kernelSize[1] : window;
  const inputChannels = isDepthwise
    ? work.outputChannels
    : (work.taps / (window * columns)) * work.groups;
  return [
    Number(isDepthwise),
    inputChannels,
    work.outputChannels,
    node.op === "conv2d" ? first(node.stride) : 0,
    window,
    work.taps * work.outputChannels,
    work.inputValues / inputChannels,
    index,
  ];
}

/** The width of an action in [0, 1]: each has an equal part of it. */
export function bitsOf(action: number, widths: readonly number[]): number {
  const [least = NaN, most = NaN] = [widths[0], widths.at(-1)];
  const bits = Math.round(least - 0.5 + action * (most - least + 1));
  return Math.min(most, Math.max(least, bits));
}

interface State {
  readonly agent: Agent;
  readonly memory: readonly Transition[];
  readonly best: { readonly policy: Policy; readonly accuracy: number };
}

/** What an agent sees of the bits that it decided before, and of what it decides now. */
type Ending = (previous: number, decision: Decision) => readonly number[];

/**
 * Episodes of an agent that goes through the layers and decides their bits, which are lowered until they
 * fit the budget (HAQ, sections 3.1 to 3.4).
 */
export async function agentEpisodes(laboratory: Laboratory, ending: Ending): Promise<Found> {
  const { visits, visitsPerEvaluation, random, rounds, evaluate } = laboratory;
  const decisions = decisionsOf(laboratory);
  const [opening] = decisions;
  if (opening === undefined) return { policy: {} };
  const floatAccuracy = await accuracyInFloat(laboratory);
  const episodes = Math.floor((visits.allowed - visits.used) / visitsPerEvaluation);
  const warmUp = Math.min(MOST_WARM_UP, Math.ceil(WARM_UP_SHARE * episodes));
  const features = opening.features.length + ending(FIRST_BITS, opening).length;
  const { best } = await rounds<State>(
    "episodes",
    () => ({
      agent: createAgent(features, random("agent")),
      memory: [],
      best: { policy: backOff({}, laboratory), accuracy: -1 },
    }),
    {
      most: episodes,
      async round({ agent, memory, best: known }, episode) {
        const numbers = random(`episode ${String(episode)}`);
        const deviation = DEVIATION * pow(DEVIATION_DECAY, episode - warmUp);
        const act = (state: Float64Array): number =>
          episode < warmUp
            ? numbers.uniform()
            : truncatedNormal(actionOf(agent.actor, state), deviation, numbers);
        const { policy, states, actions } = walk(decisions, laboratory, { act, ending });
        const tried = backOff(policy, laboratory);
        const { accuracy } = await evaluate(tried);
        const reward = REWARD_PER_POINT * 100 * (accuracy - floatAccuracy);
        const steps = states.map((state, i) => ({
          ...{ state, action: actions[i] ?? NaN, reward },
          ...{ next: states[i + 1] ?? state, isLast: i === states.length - 1 },
        }));
        const remembered = [...memory, ...steps].slice(-REMEMBERED_EPISODES * decisions.length);
        return {
          agent: episode < warmUp ? agent : updated(agent, remembered, steps.length, numbers),
          memory: remembered,
          best: accuracy > known.accuracy ? { policy: tried, accuracy } : known,
        };
      },
    },
  );
  return { policy: best.policy };
}

/** States as in the code's modes for latency and energy. */
const searchByAgent = (laboratory: Laboratory): Promise<Found> =>
  agentEpisodes(laboratory, (previous, { role }) => {
    const most = laboratory.widths[role].at(-1) ?? 8;
    return [previous / most, Number(role === "weight")];
  });

/** One pass through the layers; what the agent sees last is what it did before, and what comes now. */
function walk(
  decisions: readonly Decision[],
  { widths }: Pick<Laboratory, "widths">,
  { act, ending }: { readonly act: (state: Float64Array) => number; readonly ending: Ending },
) {
  const policy: Record<string, number> = {};
  const states: Float64Array[] = [];
  const actions: number[] = [];
  let previous = FIRST_BITS;
  for (const decision of decisions) {
    const { site, role, features } = decision;
    const state = Float64Array.of(...features, ...ending(previous, decision));
    const action = act(state);
    const bits = bitsOf(action, widths[role]);
    policy[site] = bits;
    states.push(state);
    actions.push(action);
    previous = bits;
  }
  return { policy, states, actions };
}

/** One update for each step of the episode. */
function updated(
  agent: Agent,
  memory: readonly Transition[],
  steps: number,
  random: RandomNumbers,
): Agent {
  let learned = agent;
  for (let i = 0; i < steps; i++) {
    const batch = Array.from(
      { length: BATCH },
      () => memory[random.integer(memory.length)] as Transition,
    );
    learned = learn(learned, batch);
  }
  return learned;
}

/** Bits of each layer by an agent that is rewarded for accuracy and has the hardware in its loop. */
export const haq = {
  name: "haq",
  title: "HAQ",
  version: 1,
  source: {
    title: "HAQ: Hardware-Aware Automated Quantization (Wang et al., CVPR 2019)",
    url: "https://arxiv.org/abs/1811.08886",
  },
  deviations: [
    "The accuracy that rewards are made of is that of training images that are held out; the code's linear environment takes the running accuracy of the fine-tuning.",
    "Policies are fine-tuned for the matrix's few steps instead of an epoch, on grids that stay; all searches have the same.",
    "Networks of the agent have 64 units in their two hidden layers (the code has 300); episodes are as many as the matrix's image visits allow (the code has 600), of which 15 % but at most 20 warm up.",
    "What several layers read is decided with the first of them. The budget is what the matrix's bit widths cost; the code takes a part of what 8 bits cost. Only weights are searched where the budget is size.",
    "States have the ten features of the code's latency mode in all modes. The following state is stored with each transition; transitions keep the action from before the budget was enforced, as in the code.",
    "Below 5 bits, weights are clipped by the entropy calibration of NVIDIA's pytorch-quantization; the code compares distributions interpolated to the levels. Thresholds are per channel where the backend's scales are.",
    "Scales of weights are set once and kept while they train. K-means quantization is an algorithm of its own (haqKMeans).",
    "Details are those of the published code; array sizes of the bit-serial models are from memory of the paper.",
  ],
  weight: fixedGrid(weightObserver),
  activation: calibratedBound,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "cycles", on: "bitSerialEdge" },
    candidates: [2, 3, 4, 5, 6, 7, 8],
    activations: true,
    grids: { weight: fixedGrid(weightObserver), activation: fixedGrid(activationObserver) },
    run: searchByAgent,
  },
} as const satisfies Algorithm;
