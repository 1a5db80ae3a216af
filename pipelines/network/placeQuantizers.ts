import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { MOST_SHIFT_BITS } from "../../algorithms/shiftWeights.js";
import type { BackendProfile, GraphRule } from "../../backends/backend.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import type { QuantScheme, TensorScheme } from "../../backends/scheme.js";
import { definitionOf } from "./float/index.js";
import { consumersOf, findNode, inputsOf, isLayer, withInputs } from "./graph.js";
import { featureShapes } from "./featureShapes.js";
import { multiplications, parameterSpecs } from "./parameterSpecs.js";
import type {
  AddNode,
  ConvNode,
  DenseNode,
  Network,
  NetworkNode,
} from "../../algorithms/network.js";

export interface BitWidths {
  readonly weights: number;
  readonly activations: number;
}

export interface QuantizedNetwork {
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
}

/**
 * Puts quantizers where the backend's graph rule wants them: on the weights and inputs of every
 * convolution and dense layer, and on what else the rule names. The first convolution and the
 * last dense layer, and what they read, have the backend's edge bit width. Tensors of FLOAT_BITS get
 * no quantizer. What an adder layer reads and its filters share one signed grid, of the larger of both bit
 * widths, and stay in float if either does.
 *
 * @throws Error when the network has nothing to quantize
 */
export function placeQuantizers(
  network: Network,
  profile: BackendProfile,
  bits: BitWidths,
): QuantizedNetwork {
  const layers = network.nodes.filter(isLayer);
  const edges = new Set([layers[0]?.name, layers.at(-1)?.name]);
  if (layers.length === 0)
    throw new Error("the network has no convolution or dense layer to quantize");
  const shapes = featureShapes(network);
  const nonNegative = nonNegativeNodes(network);
  const bitWidth = (layer: NetworkNode, role: keyof BitWidths) => {
    const wanted = edges.has(layer.name) ? Math.max(profile.edgeBitWidth, bits[role]) : bits[role];
    return Math.min(wanted, profile.bitWidths[role].used ?? wanted);
  };
  const counts = multiplications(network);

  const sites: QuantizerSite[] = [];
  for (const layer of bits.weights === FLOAT_BITS ? [] : layers) {
    sites.push({
      ...weightSite(network, layer, profile, bitWidth(layer, "weights")),
      multiplications: counts.get(layer.name) ?? 0,
    });
  }

  /** Bit width each tensor needs, by the name of the site that quantizes it. */
  const points = new Map<string, Point>();
  const reads = new Map<string, string>(); // "consumer <- producer" -> site
  const activationsInFloat = bits.activations === FLOAT_BITS;
  for (const node of activationsInFloat ? [] : network.nodes) {
    for (const producer of quantizedInputs(network, node, { profile, bits })) {
      const isShared = isAdder(node);
      const joins = profile.graph.quantizers === "shared" && !isShared;
      const site = joins ? `${producer}/output` : inputSite(node);
      const wanted = isLayer(node) || isShared ? bitWidth(node, "activations") : bits.activations;
      const filters = isShared ? bitWidth(node, "weights") : 0;
      const known = points.get(site)?.bitWidth ?? 0;
      points.set(site, { producer, bitWidth: Math.max(known, wanted, filters), isShared });
      reads.set(`${node.name} <- ${producer}`, site);
    }
  }
  for (const producer of activationsInFloat
    ? []
    : quantizedOutputs(network, profile.graph.outputs)) {
    const site = `${producer}/output`;
    const isLast = producer === network.nodes.at(-1)?.name;
    const readers = consumersOf(network, producer).filter((node) => !isAdder(node));
    if (readers.length === 0 && !isLast) continue;
    if (!points.has(site)) {
      const width = isLast ? Math.max(profile.edgeBitWidth, bits.activations) : bits.activations;
      points.set(site, { producer, bitWidth: width, isShared: false });
    }
    for (const { name } of readers) reads.set(`${name} <- ${producer}`, site);
  }
  const nodes: NetworkNode[] = [];
  for (const node of network.nodes) {
    const moved = withInputs(node, (name) => reads.get(`${node.name} <- ${name}`) ?? name);
    nodes.push(points.get(inputSite(node))?.isShared === true ? onGrid(moved) : moved);
    for (const [id, { producer, bitWidth: width, isShared }] of points) {
      if (producer !== node.name) continue;
      const isNonNegative = !isShared && nonNegative.has(producer);
      const shape = shapes.get(producer) ?? [];
      nodes.push({ op: "quantize", name: id, input: producer });
      sites.push({
        id,
        role: "activation",
        scheme: resolveScheme(profile.activations, width, isNonNegative),
        shape,
        channelAxis: shape.length, // counted with the batch axis in front
        nonNegative: isNonNegative,
        multiplications: 0,
      });
    }
  }
  return { network: { nodes }, sites };
}

/** Where an activation is quantized. */
interface Point {
  readonly producer: string;
  readonly bitWidth: number;
  /** Filters are on its grid, too. */
  readonly isShared: boolean;
}

const inputSite = ({ name }: NetworkNode): string => `${name}/input`;

const isAdder = (node: NetworkNode): boolean =>
  node.op === "float" && node.operation.kind === "adder";

/** An adder layer whose filters are on the grid of what it reads. */
function onGrid(node: NetworkNode): NetworkNode {
  if (node.op !== "float" || node.operation.kind !== "adder") return node;
  return { ...node, operation: { ...node.operation, grid: inputSite(node) } };
}

/** The inputs of a node that the graph rule wants quantized. */
function quantizedInputs(
  network: Network,
  node: NetworkNode,
  { profile: { graph }, bits }: { readonly profile: BackendProfile; readonly bits: BitWidths },
): readonly string[] {
  if (isLayer(node)) return inputsOf(node);
  if (isAdder(node)) return bits.weights === FLOAT_BITS ? [] : inputsOf(node);
  if (pools(node)) return graph.poolInputs ? inputsOf(node) : [];
  if (node.op === "add") return quantizedAddends(network, node, graph.addOperands);
  return [];
}

const pools = (node: NetworkNode): boolean =>
  node.op === "globalAveragePool" ||
  node.op === "maxPool" ||
  (node.op === "float" && definitionOf(node.operation).pools === true);

const FOLLOWERS: readonly NetworkNode["op"][] = ["batchNorm", "relu", "relu6"];

/** The tensors that are quantized as what an operator gives, read or not. */
function quantizedOutputs(network: Network, rule: GraphRule["outputs"]): readonly string[] {
  if (rule === "none") return [];
  return network.nodes
    .filter((node) => isLayer(node) || node.op === "add" || pools(node))
    .flatMap(({ name }) => {
      const after = pastFollowers(network, name);
      return rule === "operators" || after === name ? [after] : [name, after];
    });
}

/** The end of the chain of batch norms and activations that a node alone feeds. */
function pastFollowers(network: Network, name: string): string {
  const [consumer, ...others] = consumersOf(network, name);
  if (consumer === undefined || others.length > 0 || !FOLLOWERS.includes(consumer.op)) return name;
  return pastFollowers(network, consumer.name);
}

function quantizedAddends(
  network: Network,
  { inputs }: AddNode,
  rule: BackendProfile["graph"]["addOperands"],
): readonly string[] {
  switch (rule) {
    case "none":
      return [];
    case "all":
      return inputs;
    case "allButOne": {
      const accumulated = inputs.find((name) => {
        const { op } = findNode(network, name);
        return op === "conv2d" || op === "batchNorm";
      });
      return inputs.filter((name) => name !== accumulated);
    }
    default:
      return rule satisfies never;
  }
}

function weightSite(
  network: Network,
  layer: ConvNode | DenseNode,
  profile: BackendProfile,
  bitWidth: number,
): Omit<QuantizerSite, "multiplications"> {
  const id = `${layer.name}/kernel`;
  const shape = parameterSpecs(network).get(id)?.shape ?? [];
  const channelAxis = layer.op === "dense" ? 1 : layer.depthwise ? 2 : 3;
  const isShift = layer.op === "conv2d" && layer.operator === "shift";
  const used = isShift ? Math.min(bitWidth, MOST_SHIFT_BITS) : bitWidth;
  const scheme = resolveScheme(profile.weights, used, false);
  return {
    ...{ id, role: "weight", scheme, shape, channelAxis, nonNegative: false },
    ...(isShift && { operator: "shift" }),
  };
}

/** A scheme with everything decided. */
export function resolveScheme(
  scheme: TensorScheme,
  bitWidth: number,
  nonNegative: boolean,
): QuantScheme {
  const { rounding, ...others } = scheme;
  const signed = scheme.signed === "adaptive" ? !nonNegative : scheme.signed;
  // The DPU rounds ties in its own way below 0 alone: elsewhere its rule costs time and changes nothing.
  const isOwn = rounding !== undefined && !nonNegative;
  return { ...others, ...(isOwn && { rounding }), signed, bitWidth };
}

const KEEPING_SIGN: readonly NetworkNode["op"][] = [
  "globalAveragePool",
  "maxPool",
  "permuteChannels",
  "concat",
  "add",
  "quantize",
];

function negativeValues(node: NetworkNode): "never" | "kept" | "possible" {
  if (node.op === "relu" || node.op === "relu6") return "never";
  if (node.op === "float") {
    const { operation } = node;
    return definitionOf(operation).negative?.(operation) ?? "possible";
  }
  return KEEPING_SIGN.includes(node.op) ? "kept" : "possible";
}

/** Names of the nodes whose output has no value below 0. */
function nonNegativeNodes(network: Network): ReadonlySet<string> {
  const known = new Set<string>();
  for (const node of network.nodes) {
    const negative = negativeValues(node);
    const keeps = negative === "kept" && inputsOf(node).every((name) => known.has(name));
    if (negative === "never" || keeps) known.add(node.name);
  }
  return known;
}
