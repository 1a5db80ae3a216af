import { definitionOf, type FloatOperation } from "./float/index.js";
import { windowOf, windowOutput, type Pair, type Sides } from "./window.js";

/** A feature map's shape without the batch axis: [height, width, channels], or [features]. */
export type FeatureShape = readonly number[];

interface NamedNode {
  readonly name: string;
}
export interface InputNode extends NamedNode {
  readonly op: "input";
  readonly shape: FeatureShape;
}
export interface ConvNode extends NamedNode {
  readonly op: "conv2d";
  readonly input: string;
  readonly filters: number;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly dilation?: Pair;
  /** If absent as much on every side as keeps the size at stride 1. */
  readonly padding?: Sides;
  /** One filter for each input channel; `filters` then equals the channels. */
  readonly depthwise: boolean;
  /** Equal parts of the channels that are convolved apart; 1 if absent. */
  readonly groups?: number;
  /** Has a bias of its own. */
  readonly bias?: boolean;
  /** The batch norm that was merged into this convolution, whose parameters it uses. */
  readonly foldedBatchNorm?: string;
  /** How training treats the merged batch norm: MQBench's strategies 1 to 4. */
  readonly foldStrategy?: FoldStrategy;
}
export type FoldStrategy = 1 | 2 | 3 | 4;
export interface DenseNode extends NamedNode {
  readonly op: "dense";
  readonly input: string;
  readonly units: number;
}
export interface UnaryNode extends NamedNode {
  readonly op: "batchNorm" | "relu" | "relu6";
  readonly input: string;
}
export interface GlobalAveragePoolNode extends NamedNode {
  readonly op: "globalAveragePool";
  readonly input: string;
  /** The result is an image of one pixel: [1, 1, channels]. */
  readonly keepsAxes?: boolean;
}
/** Maximum over windows; padding never wins. */
export interface MaxPoolNode extends NamedNode {
  readonly op: "maxPool";
  readonly input: string;
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding?: Sides;
}
/** What has no integer form here and is computed in float. */
export interface FloatNode extends NamedNode {
  readonly op: "float";
  readonly operation: FloatOperation;
  readonly inputs: readonly string[];
}
/** Output channel i is input channel order[i]. */
export interface PermuteNode extends NamedNode {
  readonly op: "permuteChannels";
  readonly input: string;
  readonly order: readonly number[];
}
/** Channels of several tensors behind one another. */
export interface ConcatNode extends NamedNode {
  readonly op: "concat";
  readonly inputs: readonly string[];
}
export interface AddNode extends NamedNode {
  readonly op: "add";
  readonly inputs: readonly [string, string];
}
/** Where an activation is quantized; the node's name is the quantizer site's id. */
export interface QuantizeNode extends NamedNode {
  readonly op: "quantize";
  readonly input: string;
}
export type NetworkNode =
  | InputNode
  | ConvNode
  | DenseNode
  | UnaryNode
  | GlobalAveragePoolNode
  | MaxPoolNode
  | PermuteNode
  | ConcatNode
  | AddNode
  | QuantizeNode
  | FloatNode;

/** Whether a node has weights that are quantized. */
export const isLayer = (node: NetworkNode): node is ConvNode | DenseNode =>
  node.op === "conv2d" || node.op === "dense";

/**
 * A network as data. Nodes come in an order in which each reads only earlier ones; the last one
 * gives the logits. Parameters live apart, under the names that `parameterSpecs` lists.
 */
export interface Network {
  readonly nodes: readonly NetworkNode[];
}

export function inputsOf(node: NetworkNode): readonly string[] {
  switch (node.op) {
    case "input":
      return [];
    case "add":
    case "concat":
    case "float":
      return node.inputs;
    default:
      return [node.input];
  }
}

/** The node, reading from other nodes; `rename` maps each input's name. */
export function withInputs(node: NetworkNode, rename: (name: string) => string): NetworkNode {
  switch (node.op) {
    case "input":
      return node;
    case "add":
      return { ...node, inputs: [rename(node.inputs[0]), rename(node.inputs[1])] };
    case "concat":
    case "float":
      return { ...node, inputs: node.inputs.map(rename) };
    default:
      return { ...node, input: rename(node.input) };
  }
}

/** Networks are never changed, so what follows from one is computed once. */
function remembered<T>(compute: (network: Network) => T): (network: Network) => T {
  const known = new WeakMap<Network, { readonly value: T }>();
  return (network) => {
    const found = known.get(network) ?? { value: compute(network) };
    known.set(network, found);
    return found.value;
  };
}

const nodesByName = remembered(
  (network) => new Map(network.nodes.map((node) => [node.name, node])),
);

export function findNode(network: Network, name: string): NetworkNode {
  const node = nodesByName(network).get(name);
  if (node === undefined) throw new Error(`network has no node "${name}"`);
  return node;
}

const consumersByName = remembered((network) => {
  const consumers = new Map<string, NetworkNode[]>();
  for (const node of network.nodes) {
    for (const input of new Set(inputsOf(node))) {
      const known = consumers.get(input);
      if (known === undefined) consumers.set(input, [node]);
      else known.push(node);
    }
  }
  return consumers;
});

export function consumersOf(network: Network, name: string): readonly NetworkNode[] {
  return consumersByName(network).get(name) ?? [];
}

/**
 * The output shape of every node.
 *
 * @throws Error naming the node when the network is not well-formed
 */
export const featureShapes = remembered(shapesOf);

function shapesOf(network: Network): ReadonlyMap<string, FeatureShape> {
  const shapes = new Map<string, FeatureShape>();
  for (const node of network.nodes) {
    if (shapes.has(node.name)) throw new Error(`network has two nodes named "${node.name}"`);
    const inputs = inputsOf(node).map((name) => {
      const shape = shapes.get(name);
      if (shape === undefined)
        throw new Error(`node "${node.name}" reads "${name}" before it exists`);
      return shape;
    });
    shapes.set(node.name, outputShape(node, inputs));
  }
  return shapes;
}

/** The shape that a node gives, told from those it reads. */
export function outputShape(node: NetworkNode, inputs: readonly FeatureShape[]): FeatureShape {
  const [input = [], other = []] = inputs;
  switch (node.op) {
    case "input":
      return node.shape;
    case "conv2d": {
      const [height = 1, width = 1, channels = 1] = input;
      if (node.depthwise && node.filters !== channels) {
        throw new Error(
          `depthwise "${node.name}" has ${String(node.filters)} filters for ${String(channels)} channels`,
        );
      }
      const { groups = 1 } = node;
      if (channels % groups !== 0 || node.filters % groups !== 0) {
        throw new Error(
          `"${node.name}" splits ${String(channels)} channels and ${String(node.filters)} filters into ${String(groups)} groups`,
        );
      }
      const window = windowOf({ ...node, size: node.kernelSize });
      return [...windowOutput([height, width], window), node.filters];
    }
    case "dense":
      return [node.units];
    case "globalAveragePool":
      return node.keepsAxes ? [1, 1, ...input.slice(-1)] : input.slice(-1);
    case "maxPool": {
      const [height = 1, width = 1, channels = 1] = input;
      return [...windowOutput([height, width], windowOf(node)), channels];
    }
    case "float":
      return definitionOf(node.operation).shape(node.operation, inputs);
    case "permuteChannels":
      if (node.order.toSorted((a, b) => a - b).some((channel, i) => channel !== i))
        throw new Error(`"${node.name}" does not take each channel once`);
      if (node.order.length !== input.at(-1))
        throw new Error(
          `"${node.name}" orders ${String(node.order.length)} of ${String(input.at(-1))} channels`,
        );
      return input;
    case "add":
      if (input.join() !== other.join()) {
        throw new Error(`"${node.name}" adds [${input.join()}] and [${other.join()}]`);
      }
      return input;
    case "concat":
      return [...input.slice(0, -1), inputs.reduce((sum, shape) => sum + (shape.at(-1) ?? 0), 0)];
    case "batchNorm":
    case "relu":
    case "relu6":
    case "quantize":
      return input;
    default:
      return node satisfies never;
  }
}

export interface ParameterSpec {
  readonly shape: readonly number[];
  /** "statistics" are running averages: part of the state, but not of the gradient. */
  readonly group: "kernel" | "bias" | "batchNorm" | "statistics";
  /** Kernels start uniform in [-bound, bound] (He et al., 2015); all else with a constant. */
  readonly initial: { readonly uniform: number } | { readonly constant: number };
}

/** Every parameter of a network, in a fixed order. */
export const parameterSpecs = remembered(specsOf);

function specsOf(network: Network): ReadonlyMap<string, ParameterSpec> {
  const shapes = featureShapes(network);
  const specs = new Map<string, ParameterSpec>();
  const channelsInto = (name: string) => shapes.get(name)?.at(-1) ?? 1;
  for (const node of network.nodes) {
    if (node.op === "conv2d") {
      const inputs = node.depthwise ? 1 : channelsInto(node.input) / (node.groups ?? 1);
      const [rows, columns] = windowOf({ ...node, size: node.kernelSize }).size;
      const shape = node.depthwise
        ? [rows, columns, node.filters, 1]
        : [rows, columns, inputs, node.filters];
      specs.set(`${node.name}/kernel`, kernel(shape, rows * columns * inputs));
      if (node.bias) specs.set(`${node.name}/bias`, constant("bias", node.filters, 0));
      if (node.foldedBatchNorm !== undefined) addBatchNorm(node.foldedBatchNorm, node.filters);
    } else if (node.op === "dense") {
      const inputs = channelsInto(node.input);
      specs.set(`${node.name}/kernel`, kernel([inputs, node.units], inputs));
      specs.set(`${node.name}/bias`, constant("bias", node.units, 0));
    } else if (node.op === "batchNorm") {
      addBatchNorm(node.name, channelsInto(node.input));
    } else if (node.op === "float") {
      const inputs = node.inputs.map((name) => shapes.get(name) ?? []);
      const given = definitionOf(node.operation).parameters?.(node.operation, inputs) ?? {};
      for (const [name, shape] of Object.entries(given))
        specs.set(`${node.name}/${name}`, { shape, group: "bias", initial: { constant: 0 } });
    }
  }
  return specs;

  function addBatchNorm(name: string, channels: number): void {
    specs.set(`${name}/gamma`, constant("batchNorm", channels, 1));
    specs.set(`${name}/beta`, constant("batchNorm", channels, 0));
    specs.set(`${name}/mean`, constant("statistics", channels, 0));
    specs.set(`${name}/variance`, constant("statistics", channels, 1));
  }
}

const kernel = (shape: readonly number[], fanIn: number): ParameterSpec => ({
  shape,
  group: "kernel",
  initial: { uniform: Math.sqrt(6 / fanIn) },
});

const constant = (
  group: ParameterSpec["group"],
  channels: number,
  value: number,
): ParameterSpec => ({ shape: [channels], group, initial: { constant: value } });

/** Multiplications of one inference, per convolution and dense layer. */
export function multiplications(network: Network): ReadonlyMap<string, number> {
  const shapes = featureShapes(network);
  const specs = parameterSpecs(network);
  const counts = new Map<string, number>();
  for (const node of network.nodes) {
    if (node.op !== "conv2d" && node.op !== "dense") continue;
    const weights = (specs.get(`${node.name}/kernel`)?.shape ?? []).reduce((a, b) => a * b, 1);
    const [height = 1, width = 1] = node.op === "conv2d" ? (shapes.get(node.name) ?? []) : [];
    counts.set(node.name, weights * height * width);
  }
  return counts;
}
