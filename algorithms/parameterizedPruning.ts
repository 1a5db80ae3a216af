import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { straightThrough } from "./gradients.js";
import { existing } from "./existing.js";
import type { ChannelGroup, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { QuantizerValue, QuantizerValues } from "./quantizer.js";
import { withKept } from "./search/channelPruning.js";
import { maskOf, pruneGradually } from "./search/gradualChannels.js";
import { channelAxes, type ChannelAxis } from "./search/keptChannels.js";

/** What pulls parameters to 0 (L1); the paper's decay is between 1e-4 and 1e-3. */
const DECAY = 1e-3;
/** Structures that are 0 in the float network have a parameter, too, by which their weights are divided. */
const LEAST = 1e-3;

/** What reads the channels of a group: all weights that read one of them are a structure. */
interface Structures {
  readonly group: ChannelGroup;
  /** Names of their parameters, and of the mask of those above the threshold; both [channels]. */
  readonly parameters: string;
  readonly mask: string;
  readonly readers: readonly ChannelAxis[];
}

/**
 * Weights of structures, W = nu V: nu is the structure's parameter where the mask has 1 (it is above the threshold), and
 * 0 where it has 0. Gradients pass the threshold, so that dL/dalpha = sum <dL/dW, V> and structures can come back.
 *
 * @param axis along which the weights of structures lie
 */
export function scaledStructures(
  weights: tf.Tensor,
  { parameters, mask }: Readonly<Record<"parameters" | "mask", tf.Tensor>>,
  axis: number,
): tf.Tensor {
  const above = straightThrough(parameters, (alpha) => tf.mul(alpha, mask));
  const repeated = weights.shape.map((size, at) => (at === axis ? size : 1));
  return tf.mul(weights, tf.reshape(above, repeated));
}

function structuresOf(laboratory: Laboratory): readonly Structures[] {
  const { groups, sites, parameters } = laboratory;
  const weights = new Set(sites.filter(({ role }) => role === "weight").map(({ id }) => id));
  const axes = channelAxes(laboratory, parameters).filter(
    ({ role, name }) => role === "read" && weights.has(name),
  );
  return groups.flatMap((group) => {
    const readers = axes.filter((one) => one.group === group);
    const [first = ""] = group.convolutions;
    return group.fixedBy !== undefined || readers.length === 0
      ? []
      : [{ group, parameters: `${first} structures`, mask: maskOf(group), readers }];
  });
}

/** Structures as parameters times weights: the root mean squares of their weights, in those of whole layers. */
function parted(laboratory: Laboratory, structures: readonly Structures[]): QuantizerValues {
  const found: Record<string, QuantizerValue> = { ...laboratory.parameters };
  for (const { group, parameters, readers } of structures) {
    const shares = readers.map(({ name, axis }) => sharesAlong(existing(found, name), axis));
    const data = Float32Array.from({ length: group.channels }, (_, channel) => {
      const mean = shares.reduce((sum, one) => sum + (one[channel] ?? 0), 0) / shares.length;
      return Math.max(LEAST, Math.sqrt(mean));
    });
    found[parameters] = { shape: [data.length], data };
    for (const { name, axis } of readers)
      found[name] = scaled(existing(found, name), axis, (channel) => 1 / (data[channel] ?? NaN));
  }
  return found;
}

/** Kernels as the network has them: without the parameters of their structures. */
function merged(
  laboratory: Laboratory,
  structures: readonly Structures[],
  tensors: QuantizerValues,
): QuantizerValues {
  const found = Object.fromEntries(
    Object.keys(laboratory.parameters).map((name) => [name, existing(tensors, name)]),
  );
  for (const { parameters, readers } of structures) {
    const { data } = existing(tensors, parameters);
    for (const { name, axis } of readers)
      found[name] = scaled(existing(tensors, name), axis, (channel) => data[channel] ?? NaN);
  }
  return found;
}

/** Trains structures with parameters of their own, below a threshold that rises until the network fits. */
async function prune(laboratory: Laboratory): Promise<Found> {
  const { prepare } = laboratory;
  const structures = structuresOf(laboratory);
  const first = parted(laboratory, structures);
  const readBy = new Map(
    structures.flatMap((one) => one.readers.map(({ name, axis }) => [name, { ...one, axis }])),
  );
  const run = prepare({
    by: Object.keys(first).filter((name) => !/\/(mean|variance)$/.test(name)),
    training: true,
    quantize(x, { id }, inputs) {
      const one = readBy.get(id);
      if (one === undefined) return x;
      const [parameters, mask] = [existing(inputs, one.parameters), existing(inputs, one.mask)];
      return scaledStructures(x, { parameters, mask }, one.axis);
    },
    loss: ({ crossEntropy, inputs }) =>
      structures.reduce<tf.Scalar>(
        (sum, { parameters }) =>
          tf.add(sum, tf.mul(tf.sum(tf.abs(existing(inputs, parameters))), DECAY)),
        crossEntropy,
      ),
  });
  const parametersOf = new Map(structures.map(({ group, parameters }) => [group, parameters]));
  const { tensors, kept } = await pruneGradually(laboratory, {
    first,
    scoresOf(group, values) {
      const name = parametersOf.get(group);
      return name === undefined ? undefined : Array.from(existing(values, name).data, Math.abs);
    },
    step: (values, batch, masks) => run({ ...values, ...masks }, batch),
  });
  return withKept(laboratory, merged(laboratory, structures, tensors), kept);
}

/** Mean squares of each slice along an axis, in that of all; 1 where all are 0. */
function sharesAlong({ shape, data }: QuantizerValue, axis: number): Float64Array {
  const sums = new Float64Array(shape[axis] ?? 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  data.forEach((value, i) => {
    const slice = Math.floor(i / inner) % sums.length;
    sums[slice] = (sums[slice] ?? 0) + value * value;
  });
  const mean = sums.reduce((a, b) => a + b, 0) / sums.length;
  return sums.map((sum) => (mean === 0 ? 1 : sum / mean));
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
    "A structure is all weights that read one channel, since batch norm would undo a parameter of the filter that gives it; layers that read the same channel share its parameter, and the channel goes with them.",
    "The threshold is no constant: it rises over the first half of the training, by the cubic schedule of gradual pruning, until half of the multiplications are left, or what the budget's share says, and then stays. Every 16 steps it is looked at.",
    "Starts from the float network: parameters are the root mean squares of their structures' weights, in their layers', and weights are divided by them. The training has the image visits that the matrix allows and a rate that falls from five times the matrix's to 0.",
    "Decay is L1 with 0.001. Each layer keeps its channel with the largest parameter. Layers whose weights stay in float are not parted.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "multiplications", share: 0.5 },
    keepsTo: ["multiplications", "operations", "parameters", "microseconds"],
    candidates: [],
    activations: false,
    run: prune,
  },
} as const satisfies Algorithm;
