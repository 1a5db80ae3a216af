import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { isCodebook, type FrozenGrid, type FrozenNetwork, type FrozenWeight } from "./freeze.js";
import { consumersOf, isLayer } from "../network/index.js";
import type { ConvNode, DenseNode, Network, NetworkNode } from "../../algorithms/network.js";

/** Places of the channels of one width, in rising order. */
interface Group {
  readonly bitWidth: number;
  readonly channels: readonly number[];
}

/**
 * Splits each convolution whose channels have different widths into one convolution for each width
 * (Risso et al., 2022): the form in which a device runs them. Channels come out in the order of
 * widths; the layer that reads them has its weights reordered to match, or, where more than one
 * layer reads them, they are put back into their order.
 *
 * @param widths bits of each output channel, by the id of the weight's site
 */
export function groupChannels(
  frozen: FrozenNetwork,
  widths: ReadonlyMap<string, readonly number[]>,
): FrozenNetwork {
  const weights = new Map(frozen.weights);
  const biases = new Map(frozen.biases);
  let sites = [...frozen.sites];
  const nodes: NetworkNode[] = [];
  for (const node of frozen.network.nodes) {
    const id = `${node.name}/kernel`;
    const groups = groupsOf(widths.get(id) ?? []);
    const site = sites.find((other) => other.id === id);
    const weight = weights.get(id);
    if (node.op !== "conv2d" || node.depthwise || (node.groups ?? 1) > 1 || groups.length < 2) {
      nodes.push(node);
      continue;
    }
    if (site === undefined || weight === undefined) throw new Error(`"${id}" is not quantized`);
    const bias = biases.get(node.name);
    weights.delete(id);
    biases.delete(node.name);
    const parts = groups.map(({ bitWidth, channels }): ConvNode => {
      const name = `${node.name}.w${String(bitWidth)}`;
      const part = partOf(weight, channels, node.filters);
      weights.set(`${name}/kernel`, part);
      if (bias !== undefined)
        biases.set(
          name,
          Float32Array.from(channels, (channel) => bias[channel] ?? 0),
        );
      return { ...node, name, filters: channels.length };
    });
    sites = sites.flatMap((other) =>
      other === site ? groups.map((group, i) => siteOf(site, group, parts[i])) : [other],
    );
    const order = groups.flatMap(({ channels }) => channels);
    const reader = onlyReader(frozen.network, node.name);
    const back = order.map((_, channel) => order.indexOf(channel));
    nodes.push(...parts);
    const joined = { op: "concat" as const, inputs: parts.map(({ name }) => name) };
    if (reader === undefined) {
      const name = `${node.name}.grouped`;
      nodes.push({ ...joined, name });
      nodes.push({ op: "permuteChannels", name: node.name, input: name, order: back });
    } else {
      nodes.push({ ...joined, name: node.name });
      const readerId = `${reader.name}/kernel`;
      const read = weights.get(readerId);
      if (read === undefined) throw new Error(`"${readerId}" is not quantized`);
      weights.set(readerId, withInputOrder(read, order, outputsOf(reader)));
    }
  }
  return { ...frozen, network: { nodes }, sites, weights, biases };
}

function groupsOf(widths: readonly number[]): Group[] {
  return [...new Set(widths)]
    .sort((a, b) => a - b)
    .map((bitWidth) => ({
      bitWidth,
      channels: widths.flatMap((width, channel) => (width === bitWidth ? [channel] : [])),
    }));
}

function siteOf(site: QuantizerSite, { bitWidth, channels }: Group, part: ConvNode | undefined) {
  return {
    ...site,
    id: `${part?.name ?? ""}/kernel`,
    shape: site.shape.map((size, axis) => (axis === site.channelAxis ? channels.length : size)),
    scheme: { ...site.scheme, bitWidth },
    multiplications: (site.multiplications / (site.shape[site.channelAxis] ?? 1)) * channels.length,
  };
}

/** The filters at `channels`; they lie along the last axis. */
function partOf({ on, codes }: FrozenWeight, channels: readonly number[], filters: number) {
  const rows = codes.length / filters;
  const chosen = new Int32Array(rows * channels.length);
  for (let row = 0; row < rows; row++) {
    channels.forEach((channel, i) => {
      chosen[row * channels.length + i] = codes[row * filters + channel] ?? 0;
    });
  }
  if (isCodebook(on)) return { on, codes: chosen };
  const pick = (values: Float32Array) =>
    values.length === 1 ? values : Float32Array.from(channels, (channel) => values[channel] ?? 0);
  const grid: FrozenGrid = { scale: pick(on.scale), zeroPoint: pick(on.zeroPoint) };
  return { on: grid, codes: chosen };
}

/** The weights of a layer that gets its input channels in another order. */
function withInputOrder({ on, codes }: FrozenWeight, order: readonly number[], outputs: number) {
  const block = order.length * outputs;
  const moved = codes.map((_, i) => {
    const [outer, inner] = [Math.floor(i / block), i % block];
    const channel = order[Math.floor(inner / outputs)] ?? 0;
    return codes[outer * block + channel * outputs + (inner % outputs)] ?? 0;
  });
  return { on, codes: moved };
}

const outputsOf = (layer: ConvNode | DenseNode): number =>
  layer.op === "dense" ? layer.units : layer.filters;

/**
 * The layer that alone reads a tensor, through nothing that tells channels apart. A layer that is
 * split itself has its weights reordered before, since it comes later.
 */
function onlyReader(network: Network, name: string): ConvNode | DenseNode | undefined {
  const [reader, ...others] = consumersOf(network, name);
  if (reader === undefined || others.length > 0) return undefined;
  if (isLayer(reader)) {
    const separate = reader.op === "conv2d" && (reader.depthwise || (reader.groups ?? 1) > 1);
    return separate ? undefined : reader;
  }
  const alike: readonly NetworkNode["op"][] = [
    "relu",
    "relu6",
    "quantize",
    "globalAveragePool",
    "maxPool",
  ];
  if (!alike.includes(reader.op)) return undefined;
  return onlyReader(network, reader.name);
}
