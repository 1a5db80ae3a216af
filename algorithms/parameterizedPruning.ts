import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { straightThrough } from "./gradients.js";
import type { ChannelGroup, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { QuantizerValue, QuantizerValues } from "./quantizer.js";
import {
  affordableSteps,
  candidates,
  fits,
  keptThatFit,
  trainSteps,
  withKept,
} from "./search/channelPruning.js";
import { channelAxes, type ChannelAxis, type Kept } from "./search/keptChannels.js";

/** First rate of the training, in the matrix's peak rates of quantized training. */
const RATE = 5;
/** What pulls parameters to 0 (L1); the paper's decay is between 1e-4 and 1e-3. */
const DECAY = 1e-3;
/** The part of the training after which structures stay as they are. */
const RAMP = 0.5;
/** Steps between two looks at the threshold. */
const INTERVAL = 16;
/** Structures that are 0 in the float network have a parameter, too, by which their weights are divided. */
const LEAST = 1e-3;

const parameterOf = (kernel: string): string => `${kernel} structures`;
const maskOf = (kernel: string): string => `${kernel} above`;

/**
 * Weights of structures, W = nu V: nu is the structure's parameter where the mask has 1 (it is above the threshold), and
 * 0 where it has 0. Gradients pass the threshold, so that dL/dalpha = sum <dL/dW, V> and structures can come back.
 */
export function scaledStructures(weights: tf.Tensor, parameters: tf.Tensor, mask: tf.Tensor) {
  return tf.mul(
    weights,
    straightThrough(parameters, (alpha) => tf.mul(alpha, mask)),
  );
}

/** A layer and where it reads channels: what it reads of one is a structure. */
type Reader = ChannelAxis;

const readersOf = (laboratory: Laboratory, weights: ReadonlySet<string>): readonly Reader[] =>
  channelAxes(laboratory, laboratory.parameters).filter(
    ({ role, name, group }) => role === "read" && weights.has(name) && group.fixedBy === undefined,
  );

/** The same for all weights of a structure, in a shape that is repeated over them. */
const repeated = ({ shape }: QuantizerValue, axis: number): number[] =>
  shape.map((size, at) => (at === axis ? size : 1));

/** Structures as parameters (their root mean squares, in the layer's) times weights of one size. */
function parted(laboratory: Laboratory, readers: readonly Reader[]): QuantizerValues {
  const found: Record<string, QuantizerValue> = { ...laboratory.parameters };
  for (const { name, axis } of readers) {
    const kernel = existing(found, name);
    const squares = sumsAlong(kernel, axis);
    const mean = squares.reduce((a, b) => a + b, 0) / squares.length;
    const data = Float32Array.from(squares, (sum) => Math.max(LEAST, Math.sqrt(sum / mean) || 0));
    found[parameterOf(name)] = { shape: repeated(kernel, axis), data };
    found[name] = scaled(kernel, axis, (channel) => 1 / (data[channel] ?? NaN));
  }
  return found;
}

/** Kernels as the network has them: without the parameters of their structures. */
function merged(
  laboratory: Laboratory,
  readers: readonly Reader[],
  tensors: QuantizerValues,
): QuantizerValues {
  const found = Object.fromEntries(
    Object.keys(laboratory.parameters).map((name) => [name, existing(tensors, name)]),
  );
  for (const { name, axis } of readers) {
    const { data } = existing(tensors, parameterOf(name));
    found[name] = scaled(existing(tensors, name), axis, (channel) => data[channel] ?? NaN);
  }
  return found;
}

/** What is above the threshold when so many channels stay. */
const masksOf = (
  readers: readonly Reader[],
  kept: Kept,
  { parameters }: Laboratory,
): QuantizerValues =>
  Object.fromEntries(
    readers.map(({ name, axis, group }) => {
      const shape = repeated(existing(parameters, name), axis);
      const stays = kept.get(group);
      const data = Float32Array.from({ length: group.channels }, (_, channel) =>
        Number(stays?.includes(channel) ?? true),
      );
      return [maskOf(name), { shape, data }];
    }),
  );

/** The largest parameter of all that read a channel. */
function scoresOf(
  group: ChannelGroup,
  readers: readonly Reader[],
  tensors: QuantizerValues,
): readonly number[] | undefined {
  const own = readers.filter((reader) => reader.group === group);
  if (own.length === 0) return undefined;
  const parameters = own.map(({ name }) => existing(tensors, parameterOf(name)).data);
  return Array.from({ length: group.channels }, (_, channel) =>
    Math.max(...parameters.map((data) => Math.abs(data[channel] ?? 0))),
  );
}

/** What may be left on the way to the budget: by the cubic schedule of gradual pruning. */
function limitsAt(laboratory: Laboratory, progress: number): Laboratory["limits"] {
  const { limits, cost } = laboratory;
  const left = 1 - Math.min(1, progress / RAMP);
  return limits.map(({ unit, allowed }) => {
    const whole = cost({}, unit);
    return { unit, allowed: Math.max(allowed, allowed + (whole - allowed) * left * left * left) };
  });
}

/** Trains structures with parameters of their own, below a threshold that rises until the network fits. */
async function prune(laboratory: Laboratory): Promise<Found> {
  const { sites, groups, limits, prepare, descent: rule } = laboratory;
  const weights = new Set(sites.filter(({ role }) => role === "weight").map(({ id }) => id));
  const readers = readersOf(laboratory, weights);
  const ranked = (tensors: QuantizerValues) =>
    candidates(groups, (group) => scoresOf(group, readers, tensors));
  const first = parted(laboratory, readers);
  const names = readers.map(({ name }) => parameterOf(name));
  const read = new Set(readers.map(({ name }) => name));
  const run = prepare({
    by: Object.keys(first).filter((name) => !/\/(mean|variance)$/.test(name)),
    training: true,
    quantize: (x, { id }, inputs) =>
      read.has(id)
        ? scaledStructures(x, existing(inputs, parameterOf(id)), existing(inputs, maskOf(id)))
        : x,
    loss: ({ crossEntropy, inputs }) =>
      names.reduce<tf.Scalar>(
        (sum, name) => tf.add(sum, tf.mul(tf.sum(tf.abs(existing(inputs, name))), DECAY)),
        crossEntropy,
      ),
  });
  const none: Kept = new Map();
  const keptOf = (tensors: QuantizerValues, within: Laboratory["limits"]) =>
    keptThatFit(laboratory, ranked(tensors), within);
  const { tensors, extra } = await trainSteps(laboratory, {
    ...{ first, steps: affordableSteps(laboratory), peak: RATE * rule.rate },
    extra: masksOf(readers, none, laboratory),
    async step(values, batch, { progress, extra: masks, index }) {
      const looks = index % INTERVAL === 0 && !fits(laboratory, keptBy(readers, masks), limits);
      const above = looks
        ? masksOf(readers, keptOf(values, limitsAt(laboratory, progress)), laboratory)
        : masks;
      return { ...(await run({ ...values, ...above }, batch)), extra: above };
    },
  });
  const trained = keptBy(readers, extra);
  const kept = fits(laboratory, trained, limits) ? trained : keptOf(tensors, limits);
  return withKept(laboratory, merged(laboratory, readers, tensors), kept);
}

/** The channels that masks let through, of groups of which some go. */
function keptBy(readers: readonly Reader[], masks: QuantizerValues): Kept {
  return new Map(
    readers.flatMap(({ name, group }) => {
      const { data } = existing(masks, maskOf(name));
      const kept = [...data.keys()].filter((channel) => data[channel] === 1);
      return kept.length < data.length ? [[group, kept] as const] : [];
    }),
  );
}

/** Sums of squares of each slice along an axis. */
function sumsAlong({ shape, data }: QuantizerValue, axis: number): Float64Array {
  const sums = new Float64Array(shape[axis] ?? 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  data.forEach((value, i) => {
    const slice = Math.floor(i / inner) % sums.length;
    sums[slice] = (sums[slice] ?? 0) + value * value;
  });
  return sums;
}

function scaled(
  { shape, data }: QuantizerValue,
  axis: number,
  factor: (slice: number) => number,
): QuantizerValue {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const length = shape[axis] ?? 1;
  return { shape, data: data.map((value, i) => value * factor(Math.floor(i / inner) % length)) };
}

function existing<T>(entries: Readonly<Record<string, T>>, name: string): T {
  const entry = entries[name];
  if (entry === undefined) throw new TypeError(`"${name}" is missing`);
  return entry;
}

/** Structures with parameters of their own, which decay and a threshold put on 0. */
export const parameterizedPruning = {
  name: "parameterizedPruning",
  title: "Parameterized structured pruning",
  version: 1,
  family: "pruning",
  source: {
    title:
      "Parameterized Structured Pruning for Deep Neural Networks (Schindler et al., 2019), in the survey of Roth et al. (2020)",
    url: "https://arxiv.org/abs/1906.05180",
  },
  deviations: [
    "Pruned and quantized: what is left is trained as LSQ with the matrix's training of quantized networks; the paper's networks are float.",
    "A structure is what one layer reads of one channel, since batch norm would undo a parameter of what a convolution gives. A channel goes if all that read it are below the threshold, and they go together.",
    "The threshold is no constant: it rises over the first half of the training, by the cubic schedule of gradual pruning, until half of the multiplications are left, or what the budget's share says, and then stays. Every 16 steps it is looked at.",
    "Starts from the float network: parameters are the root mean squares of their structures' weights, in the whole layer's, and weights are divided by them. The training has the image visits that the matrix allows and a rate that falls from five times the matrix's to 0.",
    "Decay is L1 with 0.001. Each layer keeps its channel with the largest parameter. Layers whose weights stay in float are not parted.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "multiplications", share: 0.5 },
    candidates: [],
    activations: false,
    run: prune,
  },
} as const satisfies Algorithm;
