import type { ChannelGroup, Laboratory } from "../laboratory.js";
import type { QuantizerValue, QuantizerValues } from "../quantizer.js";

/** Of a group's channels, those that stay, in their new order; a group that is missing keeps all. */
export type Kept = ReadonlyMap<ChannelGroup, readonly number[]>;

/**
 * Parameters of the network without the channels that do not stay: filters that give them, what batch norm has
 * for them, and the part of each kernel that reads them.
 */
export function keptParameters(
  { network, groups }: Pick<Laboratory, "network" | "groups">,
  parameters: QuantizerValues,
  kept: Kept,
): QuantizerValues {
  const groupOf = new Map(groups.flatMap((group) => group.nodes.map((name) => [name, group])));
  const channels = (node: string): readonly number[] | undefined => {
    const group = groupOf.get(node);
    return group && kept.get(group);
  };
  const found: Record<string, QuantizerValue> = { ...parameters };
  const take = (name: string, axis: number, indices: readonly number[] | undefined) => {
    const value = found[name];
    if (value !== undefined && indices !== undefined) found[name] = taken(value, axis, indices);
  };
  for (const node of network.nodes) {
    const own = channels(node.name);
    if (node.op === "conv2d") {
      take(`${node.name}/kernel`, node.depthwise ? 2 : 3, own);
      if (!node.depthwise) take(`${node.name}/kernel`, 2, channels(node.input));
    } else if (node.op === "dense") {
      take(`${node.name}/kernel`, 0, channels(node.input));
    }
    const folded = node.op === "conv2d" ? node.foldedBatchNorm : undefined;
    const owners = folded === undefined ? [node.name] : [node.name, folded];
    for (const name of Object.keys(parameters))
      if (owners.includes(name.slice(0, name.lastIndexOf("/"))) && !name.endsWith("/kernel"))
        take(name, 0, own);
  }
  return found;
}

/** How many output channels each convolution of the groups then has. */
export const keptFilters = (kept: Kept): Readonly<Record<string, number>> =>
  Object.fromEntries(
    [...kept].flatMap(([{ convolutions }, indices]) =>
      convolutions.map((name) => [name, indices.length] as const),
    ),
  );

/** The slices at `indices` along an axis, in their order. */
export function taken(
  { shape, data }: QuantizerValue,
  axis: number,
  indices: readonly number[],
): QuantizerValue {
  const length = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = data.length / (length * inner);
  const result = new Float32Array(outer * indices.length * inner);
  for (let block = 0; block < outer; block++) {
    indices.forEach((index, slot) => {
      const from = (block * length + index) * inner;
      result.set(data.subarray(from, from + inner), (block * indices.length + slot) * inner);
    });
  }
  return { shape: shape.map((size, at) => (at === axis ? indices.length : size)), data: result };
}
