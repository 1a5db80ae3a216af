import type { ChannelGroup } from "../../algorithms/laboratory.js";
import type { FloatKind, NetworkNode } from "../../algorithms/network.js";
import { featureShapes } from "./featureShapes.js";
import { inputsOf } from "./graph.js";
import { remembered } from "./remembered.js";

/** What stays in float and gives as many channels as it reads, whatever their number. */
const PASSING: ReadonlySet<FloatKind> = new Set<FloatKind>([
  ...(["sigmoid", "tanh", "hardSwish", "hardSigmoid", "clip", "leakyRelu", "erf", "exp"] as const),
  ...([
    "sqrt",
    "abs",
    "softplus",
    "gelu",
    "elu",
    "averagePool",
    "resize",
    "channelAffine",
  ] as const),
  ...(["mul", "sub", "div", "sum"] as const),
]);

/**
 * The output channels of all convolutions, parted into those that must be as many: additions join what they
 * add, and a depthwise convolution has its input's.
 */
export const channelGroups = remembered((network): readonly ChannelGroup[] => {
  const channels = new Channels();
  for (const node of network.nodes) join(node, channels);
  const last = network.nodes.at(-1);
  if (last !== undefined) channels.fix(last.name, "they are the network's output");
  const shapes = featureShapes(network);
  const convolutions = new Set(
    network.nodes.filter(({ op }) => op === "conv2d").map(({ name }) => name),
  );
  const place = new Map(network.nodes.map(({ name }, index) => [name, index]));
  const inOrder = (names: readonly string[]) =>
    names.toSorted((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
  return channels.groups().flatMap(({ nodes: joined, joinedBy, fixedBy }) => {
    const nodes = inOrder(joined);
    const own = nodes.filter((name) => convolutions.has(name));
    const [first] = own;
    return first === undefined
      ? []
      : [{ convolutions: own, channels: shapes.get(first)?.at(-1) ?? 1, nodes, joinedBy, fixedBy }];
  });
});

function join(node: NetworkNode, channels: Channels): void {
  const { name } = node;
  const inputs = inputsOf(node);
  const fixAll = (why: string) => {
    channels.open(name);
    for (const one of [name, ...inputs]) channels.fix(one, why);
  };
  switch (node.op) {
    case "input":
      channels.open(name);
      channels.fix(name, "they are those of the images");
      return;
    case "conv2d":
      if ((node.groups ?? 1) > 1) fixAll(`"${name}" convolves groups of them`);
      else if (node.depthwise) channels.joinAll(name, inputs, true);
      else channels.open(name);
      return;
    case "dense":
      channels.open(name);
      channels.fix(name, "they are the units of a dense layer");
      return;
    case "batchNorm":
    case "relu":
    case "relu6":
    case "quantize":
    case "maxPool":
    case "globalAveragePool":
      channels.joinAll(name, inputs, false);
      return;
    case "add":
      channels.joinAll(name, inputs, true);
      return;
    case "permuteChannels":
    case "concat":
      fixAll(`"${name}" has them in an order of its own`);
      return;
    case "float":
      if (PASSING.has(node.operation.kind)) channels.joinAll(name, inputs, inputs.length > 1);
      else fixAll(`"${name}" (${node.operation.kind}) needs as many`);
      return;
    default:
      node satisfies never;
  }
}

interface Joined {
  readonly nodes: string[];
  readonly joinedBy: string[];
  fixedBy: string | undefined;
}

/** Nodes whose outputs have the same channels, while more become known to be joined. */
class Channels {
  readonly #of = new Map<string, Joined>();

  open(name: string): void {
    this.#of.set(name, { nodes: [name], joinedBy: [], fixedBy: undefined });
  }

  fix(name: string, why: string): void {
    const own = this.#of.get(name);
    if (own !== undefined) own.fixedBy ??= why;
  }

  /** @param counts whether the node is a reason why channels must be as many */
  joinAll(name: string, inputs: readonly string[], counts: boolean): void {
    this.open(name);
    const own = this.#of.get(name);
    if (own !== undefined && counts) own.joinedBy.push(name);
    for (const input of inputs) {
      const [into, other] = [this.#of.get(name), this.#of.get(input)];
      if (into === undefined || other === undefined || into === other) continue;
      other.nodes.push(...into.nodes);
      other.joinedBy.push(...into.joinedBy);
      other.fixedBy ??= into.fixedBy;
      for (const node of into.nodes) this.#of.set(node, other);
    }
  }

  groups(): readonly Joined[] {
    return [...new Set(this.#of.values())];
  }
}
