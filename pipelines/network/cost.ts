import type { QuantizerSite } from "../../algorithms/algorithm.js";
import {
  FLOAT_BITS,
  hardwareCost,
  macsOf,
  operationsOf,
  operatorOf,
  type HardwareModel,
  type OperatorKind,
  type SharedCost,
  type LayerWork,
  type StoredWeights,
} from "../../backends/hardware/hardware.js";
import { hardwareModels } from "../../backends/hardware/index.js";
import { consumersOf, findNode, inputsOf, isLayer } from "./graph.js";
import { featureShapes } from "./featureShapes.js";
import { parameterSpecs } from "./parameterSpecs.js";
import type { FloatNode, Network, NetworkNode } from "../../algorithms/network.js";

/** A network's cost for one image. */
export interface NetworkCost {
  /** Multiplications; shifts and differences are none. */
  readonly macs: number;
  /** Shifts by weights that are powers of two, and differences from weights; absent where there are none. */
  readonly shifts?: number;
  readonly differences?: number;
  /** Products weighted with both their operands' bits; float operands count as 32. */
  readonly bitOps: number;
  /** Largest sum of the activations that are needed at the same time, at their widths. */
  readonly activationBytes: number;
  /** By hardware model. */
  readonly hardware: Readonly<Record<string, ModelledCost>>;
}

export type ModelledCost =
  | {
      readonly cycles?: number;
      readonly milliseconds?: number;
      readonly microjoules?: number;
      readonly mapping?: ModelledMapping;
    }
  | { readonly unsupported: string };

/** What a search for the best mapping of layers to hardware gains. */
export interface ModelledMapping {
  /** Of one image that no other one follows or precedes. */
  readonly millisecondsOfOneImage: number;
  /** Products, shifts, differences and memory, without adding up. */
  readonly microjoulesWithoutSums: number;
  /** Microjoules times milliseconds: of what was found, and with the same mapping for every layer. */
  readonly energyDelay: number;
  readonly fixedEnergyDelay: number;
}

/** What is known of weights beyond their sites, by the site. */
export interface WeightForms {
  /** Widths of each output channel, where they differ. */
  readonly channelBits?: ReadonlyMap<string, readonly number[]>;
  /** Compressed formats. */
  readonly stored?: ReadonlyMap<string, StoredWeights>;
  /** What is no multiplication. */
  readonly operators?: ReadonlyMap<string, OperatorKind>;
}

/**
 * What a network costs, quantized or not.
 *
 * @param sites none for a float network
 */
export function costOfNetwork(
  network: Network,
  sites: readonly QuantizerSite[],
  { channelBits, stored, operators }: WeightForms = {},
): NetworkCost {
  const work = layerWork(network, sites, channelBits).map((layer): LayerWork => {
    const id = `${layer.layer}/kernel`;
    const [form, operator] = [stored?.get(id), operators?.get(id)];
    return { ...layer, ...(form && { stored: form }), ...(operator && { operator }) };
  });
  const total = (of: (layer: LayerWork) => number) => work.reduce((sum, one) => sum + of(one), 0);
  const counted = (kind: OperatorKind) =>
    total((layer) => (operatorOf(layer) === kind ? operationsOf(layer) : 0));
  const [shifts, differences] = [counted("shift"), counted("adder")];
  return {
    macs: total(macsOf),
    ...(shifts > 0 && { shifts }),
    ...(differences > 0 && { differences }),
    bitOps: total((layer) => macsOf(layer) * layer.weightBits * layer.activationBits),
    activationBytes: peakActivationBytes(network, sites),
    hardware: Object.fromEntries(
      hardwareModels.map((model) => [model.name, modelled(work, model)]),
    ),
  };
}

function modelled(work: readonly LayerWork[], model: HardwareModel): ModelledCost {
  const { clockHz, unsupported } = model;
  for (const layer of work) {
    const reason = unsupported?.(layer);
    if (reason !== undefined) return { unsupported: `${layer.layer}: ${reason}` };
  }
  const cost = hardwareCost(model, work);
  const { cycles, picojoules } = cost;
  return {
    ...(cycles !== undefined && { cycles }),
    ...(cycles !== undefined &&
      clockHz !== undefined && { milliseconds: (cycles / clockHz) * 1000 }),
    ...(picojoules !== undefined && { microjoules: picojoules / 1e6 }),
    ...("mapping" in cost && clockHz !== undefined && { mapping: mappingOf(cost, clockHz) }),
  };
}

function mappingOf({ cycles, picojoules, mapping }: SharedCost, clockHz: number): ModelledMapping {
  const milliseconds = (count: number) => (count / clockHz) * 1000;
  const { fixed, cyclesOfOneImage, picojoulesWithoutSums } = mapping;
  return {
    millisecondsOfOneImage: milliseconds(cyclesOfOneImage),
    microjoulesWithoutSums: picojoulesWithoutSums / 1e6,
    energyDelay: (picojoules / 1e6) * milliseconds(cycles),
    fixedEnergyDelay: (fixed.picojoules / 1e6) * milliseconds(fixed.cycles),
  };
}

const isAdder = (node: NetworkNode): node is FloatNode =>
  node.op === "float" && node.operation.kind === "adder";

/** Every convolution, dense and adder layer, in parts where its channels have different widths. */
export function layerWork(
  network: Network,
  sites: readonly QuantizerSite[],
  channelBits: ReadonlyMap<string, readonly number[]> = new Map(),
): LayerWork[] {
  const shapes = featureShapes(network);
  const bits = bitsById(sites);
  return network.nodes.flatMap((node) => {
    if (!isLayer(node) && !isAdder(node)) return [];
    const id = `${node.name}/kernel`;
    const kernel = parameterSpecs(network).get(id)?.shape ?? [];
    const output = shapes.get(node.name) ?? [];
    const outputChannels = output.at(-1) ?? 1;
    const depthwise = node.op === "conv2d" && node.depthwise;
    const [input = ""] = inputsOf(node);
    const work = {
      layer: node.name,
      kind: node.op === "dense" ? "dense" : depthwise ? "depthwise" : "convolution",
      ...(isAdder(node) && { operator: "adder" as const }),
      taps: product(kernel) / outputChannels,
      window: product(kernel.slice(0, -2)),
      groups: depthwise ? outputChannels : node.op === "conv2d" ? (node.groups ?? 1) : 1,
      outputPixels: product(output) / outputChannels,
      inputValues: product(shapes.get(input) ?? []),
      activationBits:
        findNode(network, input).op === "quantize" ? (bits.get(input) ?? FLOAT_BITS) : FLOAT_BITS,
    } as const;
    // Filters of adder layers are on the grid of what these read.
    const weightBits = isAdder(node) ? work.activationBits : (bits.get(id) ?? FLOAT_BITS);
    const widths = channelBits.get(id);
    if (widths === undefined || work.groups > 1) return [{ ...work, outputChannels, weightBits }];
    return [...new Set(widths)]
      .filter((width) => width > 0)
      .map((width) => ({
        ...work,
        weightBits: width,
        outputChannels: widths.filter((other) => other === width).length,
      }));
  });
}

/**
 * The largest sum of activations that exist at the same time, when a node runs as soon as it can
 * in the network's order. What follows a node alone (batch norm, ReLU, a quantizer) happens in
 * its registers, so only the last of such a chain is in memory.
 */
export function peakActivationBytes(network: Network, sites: readonly QuantizerSite[]): number {
  const shapes = featureShapes(network);
  const bits = bitsById(sites);
  const bufferOf = new Map<string, string>();
  const buffers = new Map<string, { from: number; to: number; bytes: number }>();
  network.nodes.forEach((node, index) => {
    const inputs = inputsOf(node).map((name) => bufferOf.get(name) ?? name);
    for (const name of inputs) {
      const buffer = buffers.get(name);
      if (buffer !== undefined) buffer.to = index;
    }
    const [input] = inputsOf(node);
    const chained =
      input !== undefined &&
      (node.op === "batchNorm" ||
        node.op === "relu" ||
        node.op === "relu6" ||
        node.op === "quantize") &&
      consumersOf(network, input).length === 1;
    const name = chained ? (inputs[0] ?? node.name) : node.name;
    bufferOf.set(node.name, name);
    const width = node.op === "quantize" ? (bits.get(node.name) ?? FLOAT_BITS) : FLOAT_BITS;
    const bytes = (product(shapes.get(node.name) ?? []) * width) / 8;
    buffers.set(name, { from: buffers.get(name)?.from ?? index, to: index, bytes });
  });
  const live = (index: number) =>
    [...buffers.values()]
      .filter(({ from, to }) => from <= index && index <= to)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  return Math.max(...network.nodes.map((_, index) => live(index)));
}

const bitsById = (sites: readonly QuantizerSite[]): ReadonlyMap<string, number> =>
  new Map(sites.map(({ id, scheme }) => [id, scheme.bitWidth]));

const product = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);
