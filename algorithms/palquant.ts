import * as tf from "@tensorflow/tfjs";
import type { Network, NetworkNode } from "./network.js";
import {
  TRAIN_ALL,
  UnsupportedNetwork,
  type Algorithm,
  type InheritedParameter,
  type Quantizer,
  type QuantizerSite,
} from "./algorithm.js";
import { MIN_SCALE, perScale, roundSte, scaleGradient, stopGradient, valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { meanStdObserver, observeMinMax, statistic } from "./observers/index.js";

const GROUPS = 2;
/** Copies of the float network start this far apart, as a part of each weight. */
const NOISE = 0.1;
/** First factor of what a shuffle adds, so that it disturbs the copies little. */
const SHUFFLE_GAIN = 0.1;
const DEVIATIONS = 3;

type Values = Parameters<Quantizer["fakeQuantize"]>[1];

/** A learned value whose gradient, a sum over all of x, is scaled down as LSQ's is. */
function learned(name: string, values: Values, { shape, scheme }: QuantizerSite): tf.Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return scaleGradient(valueOf(values, name), 1 / Math.sqrt(count * (2 ** scheme.bitWidth - 1)));
}

/** x between learned bounds, as a whole number of parts of 0 ... 1. */
function inParts(x: tf.Tensor, values: Values, site: QuantizerSite): tf.Tensor {
  const [lower, upper] = [learned("lower", values, site), learned("upper", values, site)];
  const parts = 2 ** site.scheme.bitWidth - 1;
  const width = tf.add(tf.relu(tf.sub(upper, lower)), MIN_SCALE);
  const inside = tf.clipByValue(tf.div(tf.sub(x, lower), width), 0, 1);
  return tf.div(roundSte(tf.mul(inside, parts)), parts);
}

/** Levels for parts 0 ... 1, and the middles between them on the axis of x. */
function levelsOf(values: Values, site: QuantizerSite, levelAt: (part: tf.Tensor) => tf.Tensor) {
  const parts = 2 ** site.scheme.bitWidth - 1;
  const [lower, upper] = [valueOf(values, "lower"), valueOf(values, "upper")];
  const width = tf.add(tf.relu(tf.sub(upper, lower)), MIN_SCALE);
  const steps = Array.from({ length: parts + 1 }, (_, i) => i / parts);
  const middles = Array.from({ length: parts }, (_, i) => (i + 0.5) / parts);
  return {
    levels: tf.reshape<tf.Rank.R1>(levelAt(tf.tensor1d(steps)), [-1]),
    thresholds: tf.reshape<tf.Rank.R1>(tf.add(tf.mul(tf.tensor1d(middles), width), lower), [-1]),
  };
}

const symmetricPart = (part: tf.Tensor): tf.Tensor => tf.mul(tf.sub(part, 0.5), 2);

/** Weights in [-1, 1] without a 0, times the layer's learned output scale. */
const weight = codebookQuantizer({
  learned: ["lower", "upper", "outputScale"],
  observe: (w, site) => ({
    ...meanStdObserver.observe(w, site),
    meanAbs: tf.reshape(tf.mean(tf.abs(w)), []),
  }),
  initialize(batches, site) {
    const reach = DEVIATIONS * Math.max(...statistic(batches, "deviation", 0), MIN_SCALE);
    // A mean magnitude as the weights': levels between -1 and 1 are about a third on average.
    const magnitude = (3 * Math.max(...statistic(batches, "meanAbs", 0))) / reach;
    return {
      lower: perScale(site, () => -reach),
      upper: perScale(site, () => reach),
      outputScale: perScale(site, () => reach * Math.max(magnitude, 0.5)),
    };
  },
  fakeQuantize: (w, values, site) =>
    tf.mul(symmetricPart(inParts(w, values, site)), tf.abs(learned("outputScale", values, site))),
  codebook: (values, site) =>
    levelsOf(values, site, (part) =>
      tf.mul(symmetricPart(part), tf.abs(valueOf(values, "outputScale"))),
    ),
});

/** Activations on levels between learned bounds; a bound learns from what lies inside alone. */
const activation = codebookQuantizer({
  learned: ["lower", "upper"],
  observe: (x, site) => ({ ...observeMinMax(x, site), ...meanStdObserver.observe(x, site) }),
  initialize: (batches, site) => ({
    lower: perScale(site, (i) => Math.min(...statistic(batches, "min", i))),
    upper: perScale(site, (i) => {
      const deviations = statistic(batches, "deviation", i);
      const mean = deviations.reduce((a, b) => a + b, 0) / deviations.length;
      return (DEVIATIONS * mean) / Math.sqrt(1 - 2 / Math.PI);
    }),
  }),
  fakeQuantize: (x, values, site) => spread(inParts(x, values, site), values),
  codebook: (values, site) => levelsOf(values, site, (part) => spread(part, values)),
});

/** Parts 0 ... 1 back between the bounds, which get no gradient from here. */
function spread(part: tf.Tensor, values: Values): tf.Tensor {
  const [lower, upper] = [valueOf(values, "lower"), valueOf(values, "upper")].map(stopGradient) as [
    tf.Tensor,
    tf.Tensor,
  ];
  return tf.add(tf.mul(part, tf.sub(upper, lower)), lower);
}

/** Groups 1, 2, ..., G - 1, 0 of the channels: what the cyclic shuffle reads. */
export function cyclicOrder(channels: number, groups: number): number[] {
  const size = channels / groups;
  return Array.from({ length: channels }, (_, i) => (i + size) % channels);
}

/** Channel 0 of each group, channel 1 of each group, ...: a transpose of groups and channels. */
export function shuffleOrder(channels: number, groups: number): number[] {
  const size = channels / groups;
  return Array.from({ length: channels }, (_, i) => (i % groups) * size + Math.floor(i / groups));
}

/**
 * G networks side by side: every convolution behind the first is split into G groups of the old
 * width. Before each convolution with a stride a cyclic shuffle adds to every group what a 1x1
 * convolution makes of the next one; blocks with a stride shuffle the channels of their residual
 * branch. Only these, the first and the last layer mix the groups.
 */
export function inParallel(network: Network, groups: number, shuffles = true): Network {
  const layers = network.nodes.filter(({ op }) => op === "conv2d" || op === "dense");
  const first = layers[0]?.name;
  const channels = new Map<string, number>();
  const nodes: NetworkNode[] = [];
  const renamed = new Map<string, string>();
  const name = (old: string): string => renamed.get(old) ?? old;
  const push = (node: NetworkNode, count: number): string => {
    nodes.push(node);
    channels.set(node.name, count);
    return node.name;
  };
  const producers = new Map(network.nodes.map((node) => [node.name, node]));
  const isStrided = (node: NetworkNode): boolean =>
    node.op === "conv2d" && [node.stride].flat().some((step) => step > 1) && node.name !== first;

  for (const node of network.nodes) {
    if (node.op === "input") {
      push(node, node.shape.at(-1) ?? 1);
      continue;
    }
    if (node.op === "conv2d" && node.name !== first) {
      const input = name(node.input);
      const filters = node.filters * groups;
      const before = channels.get(input) ?? 1;
      // A depthwise convolution has a group for each channel already.
      const grouped = node.depthwise ? {} : { groups: (node.groups ?? 1) * groups };
      const source =
        shuffles && groups > 1 && isStrided(node) ? cyclicShuffle(node.input, before) : input;
      push({ ...node, ...grouped, input: source, filters }, filters);
      continue;
    }
    if (node.op === "conv2d") {
      push({ ...node, filters: node.filters * groups }, node.filters * groups);
      continue;
    }
    if (node.op === "dense") {
      push({ ...node, input: name(node.input) }, node.units);
      continue;
    }
    if (node.op === "add") {
      const [a, b] = [name(node.inputs[0]), name(node.inputs[1])];
      const count = channels.get(a) ?? 1;
      const downsamples = convolutionBehind(node.inputs[1])?.op === "conv2d";
      if (shuffles && groups > 1 && downsamples && convolutionBehind(node.inputs[0])) {
        const order = shuffleOrder(count, groups);
        const mixed = push(
          { op: "permuteChannels", name: `${node.name}.shuffle`, input: a, order },
          count,
        );
        push({ ...node, inputs: [mixed, b] }, count);
      } else push({ ...node, inputs: [a, b] }, count);
      continue;
    }
    if (node.op === "concat") {
      const inputs = node.inputs.map(name);
      push(
        { ...node, inputs },
        inputs.reduce((sum, input) => sum + (channels.get(input) ?? 0), 0),
      );
      continue;
    }
    if (node.op === "float")
      throw new UnsupportedNetwork(`it cannot widen "${node.name}" (${node.operation.kind})`);
    const input = name(node.input);
    push({ ...node, input }, channels.get(input) ?? 1);
  }
  return { nodes };

  /** The convolution that a tensor comes from, its batch norm aside. */
  function convolutionBehind(tensor: string): NetworkNode | undefined {
    const node = producers.get(tensor);
    if (node?.op === "batchNorm") return convolutionBehind(node.input);
    return node?.op === "conv2d" ? node : undefined;
  }

  /** Adds what the next group has; all that reads the tensor from here on reads the sum. */
  function cyclicShuffle(tensor: string, count: number): string {
    const known = renamed.get(tensor);
    if (known !== undefined) return known;
    const base = `${tensor}.cyclic`;
    const turned = push(
      {
        op: "permuteChannels",
        name: `${base}.order`,
        input: tensor,
        order: cyclicOrder(count, groups),
      },
      count,
    );
    const convolved = push(
      {
        op: "conv2d",
        name: `${base}.conv`,
        input: turned,
        filters: count,
        kernelSize: 1,
        stride: 1,
        depthwise: false,
        groups,
      },
      count,
    );
    const normalized = push({ op: "batchNorm", name: `${base}.bn`, input: convolved }, count);
    const rectified = push({ op: "relu", name: `${base}.relu`, input: normalized }, count);
    const sum = push({ op: "add", name: `${base}.add`, inputs: [rectified, tensor] }, count);
    renamed.set(tensor, sum);
    return sum;
  }
}

/**
 * Parameters of the parallel network: copies of the float ones for each group, apart by a little
 * noise, in the order that a channel shuffle behind them undoes; the last layer averages.
 */
function copied({ name, fresh, trained, network, random }: InheritedParameter): Float32Array {
  const node = name.slice(0, name.lastIndexOf("/"));
  if (trained === undefined) {
    return name.endsWith(".cyclic.bn/gamma") ? fresh.data.map(() => SHUFFLE_GAIN) : fresh.data;
  }
  if (fresh.shape.join() === trained.shape.join()) return trained.data;
  const isDense = network.nodes.some((other) => other.name === node && other.op === "dense");
  // Channels of weights lie on the last axis, except of depthwise (1 there) and dense (inputs).
  const axis = isDense
    ? 0
    : fresh.shape.at(-1) === 1
      ? fresh.shape.length - 2
      : fresh.shape.length - 1;
  const inner = fresh.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const [count = 1, old = 1] = [fresh.shape[axis], trained.shape[axis]];
  const source = sourceChannels(network, node, count);
  const isKernel = name.endsWith("/kernel");
  return Float32Array.from(fresh.data, (_, i) => {
    const channel = source[Math.floor(i / inner) % count] ?? 0;
    const outer = Math.floor(i / (inner * count));
    const value = trained.data[(outer * old + (channel % old)) * inner + (i % inner)] ?? 0;
    const noise = isKernel ? 1 + NOISE * (2 * random() - 1) : 1;
    return (isDense ? value / (count / old) : value) * noise;
  });
}

/** Which channel each output channel of a layer stands for behind a channel shuffle, if any. */
function sourceChannels(network: Network, node: string, count: number): readonly number[] {
  const shuffle = network.nodes.find(
    (other) =>
      other.op === "permuteChannels" &&
      other.name.endsWith(".shuffle") &&
      (other.input === node ||
        other.input === `${node}.bn` ||
        other.input === node.replace(/\.bn$/, "")),
  );
  const identity = Array.from({ length: count }, (_, i) => i);
  if (shuffle?.op !== "permuteChannels") return identity;
  const { order } = shuffle;
  return identity.map((channel) => order.indexOf(channel));
}

/** Parallel low-precision groups with cyclic shuffles, instead of one network of more bits. */
export const palquant = {
  name: "palquant",
  title: "PalQuant",
  version: 2,
  source: {
    title:
      "PalQuant: Accelerating High-Precision Networks on Low-Precision Accelerators (Hu et al., ECCV 2022)",
    url: "https://arxiv.org/abs/2208.01944",
  },
  deviations: [
    "2 groups; twice the weights and multiplications of other rows with the same bits.",
    "Starts from copies of the float checkpoint (with 10 % noise, so that groups differ) and trains as long as all algorithms; the paper trains from scratch.",
    "First and last layer have 8 bits instead of float.",
    "Levels of activations lie between their bounds, not in [0, 1]; bounds learn from unclipped values alone, as in the paper.",
    "Bounds and scales share the weights' optimizer, their gradients divided as LSQ divides its scales'; the paper uses Adam at a rate of its own. The scale's first value matches magnitudes of weights, not of outputs.",
    "Runs on the academic setting alone: its weights have no 0, which integer backends need.",
  ],
  weight,
  activation,
  phases: TRAIN_ALL,
  rewrite: (network) => inParallel(network, GROUPS),
  inherit: copied,
} as const satisfies Algorithm;
