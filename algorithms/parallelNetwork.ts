import { UnsupportedNetwork, type InheritedParameter } from "./algorithm.js";
import type { AddNode, ConvNode, Network, NetworkNode } from "./network.js";

/** Copies of the float network start this far apart, as a part of each weight. */
const NOISE = 0.1;
/** First factor of what a shuffle adds, so that it disturbs the copies little. */
const SHUFFLE_GAIN = 0.1;

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
  const parallel = new ParallelNetwork(network, groups, shuffles && groups > 1);
  for (const node of network.nodes) parallel.add(node);
  return { nodes: parallel.nodes };
}

/** The parallel network while it is put together. */
class ParallelNetwork {
  readonly nodes: NetworkNode[] = [];
  readonly #groups: number;
  readonly #shuffles: boolean;
  /** The first layer, which all groups share. */
  readonly #first: string | undefined;
  readonly #channels = new Map<string, number>();
  readonly #producers: ReadonlyMap<string, NetworkNode>;
  /** Tensors in whose place others are read. */
  readonly #renamed = new Map<string, string>();

  constructor({ nodes }: Network, groups: number, shuffles: boolean) {
    this.#groups = groups;
    this.#shuffles = shuffles;
    this.#first = nodes.find(({ op }) => op === "conv2d" || op === "dense")?.name;
    this.#producers = new Map(nodes.map((node) => [node.name, node]));
  }

  add(node: NetworkNode): void {
    switch (node.op) {
      case "input":
        this.#push(node, node.shape.at(-1) ?? 1);
        return;
      case "conv2d":
        this.#addConvolution(node);
        return;
      case "dense":
        this.#push({ ...node, input: this.#name(node.input) }, node.units);
        return;
      case "add":
        this.#addSum(node);
        return;
      case "concat": {
        const inputs = node.inputs.map((input) => this.#name(input));
        const count = inputs.reduce((sum, input) => sum + (this.#channels.get(input) ?? 0), 0);
        this.#push({ ...node, inputs }, count);
        return;
      }
      case "float":
        throw new UnsupportedNetwork(`it cannot widen "${node.name}" (${node.operation.kind})`);
      default: {
        const input = this.#name(node.input);
        this.#push({ ...node, input }, this.#count(input));
      }
    }
  }

  #name(old: string): string {
    return this.#renamed.get(old) ?? old;
  }

  #count(tensor: string): number {
    return this.#channels.get(tensor) ?? 1;
  }

  #push(node: NetworkNode, count: number): string {
    this.nodes.push(node);
    this.#channels.set(node.name, count);
    return node.name;
  }

  #addConvolution(node: ConvNode): void {
    const filters = node.filters * this.#groups;
    if (node.name === this.#first) {
      this.#push({ ...node, filters }, filters);
      return;
    }
    const input = this.#name(node.input);
    // A depthwise convolution has a group for each channel already.
    const grouped = node.depthwise ? {} : { groups: (node.groups ?? 1) * this.#groups };
    const isStrided = [node.stride].flat().some((step) => step > 1);
    const source = this.#shuffles && isStrided ? this.#cyclicShuffle(node.input, input) : input;
    this.#push({ ...node, ...grouped, input: source, filters }, filters);
  }

  #addSum(node: AddNode): void {
    const [a, b] = [this.#name(node.inputs[0]), this.#name(node.inputs[1])];
    const downsamples = this.#convolutionBehind(node.inputs[1]) !== undefined;
    const count = this.#count(a);
    if (!this.#shuffles || !downsamples || !this.#convolutionBehind(node.inputs[0])) {
      this.#push({ ...node, inputs: [a, b] }, count);
      return;
    }
    const order = shuffleOrder(count, this.#groups);
    const name = `${node.name}.shuffle`;
    const mixed = this.#push({ op: "permuteChannels", name, input: a, order }, count);
    this.#push({ ...node, inputs: [mixed, b] }, count);
  }

  /** The convolution that a tensor comes from, its batch norm aside. */
  #convolutionBehind(tensor: string): NetworkNode | undefined {
    const node = this.#producers.get(tensor);
    if (node?.op === "batchNorm") return this.#convolutionBehind(node.input);
    return node?.op === "conv2d" ? node : undefined;
  }

  /** Adds what the next group has; all that reads the tensor from here on reads the sum. */
  #cyclicShuffle(tensor: string, current: string): string {
    if (this.#renamed.has(tensor)) return current;
    const count = this.#count(current);
    const base = `${tensor}.cyclic`;
    const order = cyclicOrder(count, this.#groups);
    const turned = this.#push(
      { op: "permuteChannels", name: `${base}.order`, input: tensor, order },
      count,
    );
    const convolved = this.#push(
      {
        op: "conv2d",
        name: `${base}.conv`,
        input: turned,
        filters: count,
        kernelSize: 1,
        stride: 1,
        depthwise: false,
        groups: this.#groups,
      },
      count,
    );
    const normalized = this.#push({ op: "batchNorm", name: `${base}.bn`, input: convolved }, count);
    const rectified = this.#push({ op: "relu", name: `${base}.relu`, input: normalized }, count);
    const sum = this.#push({ op: "add", name: `${base}.add`, inputs: [rectified, tensor] }, count);
    this.#renamed.set(tensor, sum);
    return sum;
  }
}

/**
 * Parameters of the parallel network: copies of the float ones for each group, apart by a little
 * noise, in the order that a channel shuffle behind them undoes; the last layer averages.
 */
export function copied({
  name,
  fresh,
  trained,
  network,
  random,
}: InheritedParameter): Float32Array {
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
