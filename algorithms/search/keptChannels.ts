import type { ChannelGroup, Laboratory } from "../laboratory.js";
import type { QuantizerValue, QuantizerValues } from "../quantizer.js";

/** Of a group's channels, those that stay, in their new order; a group that is missing keeps all. */
export type Kept = ReadonlyMap<ChannelGroup, readonly number[]>;

/** Where a tensor has the channels of a group. */
export interface ChannelAxis {
  readonly name: string;
  readonly axis: number;
  readonly group: ChannelGroup;
  /** "read": of a kernel, the channels that it reads; else those that it or its batch norm gives. */
  readonly role: "given" | "read";
}

/**
 * All axes along which tensors have channels of groups: kernels, what batch norm and biases have for each filter,
 * and values of quantizers ("NAME/kernel:scale") that have one for each.
 */
export function channelAxes(
  { network, groups }: Pick<Laboratory, "network" | "groups">,
  tensors: QuantizerValues,
): readonly ChannelAxis[] {
  const groupOf = new Map(groups.flatMap((group) => group.nodes.map((name) => [name, group])));
  const names = new Map<string, string[]>();
  for (const name of Object.keys(tensors)) {
    const owner = name.slice(0, name.lastIndexOf("/"));
    names.set(owner, [...(names.get(owner) ?? []), name]);
  }
  const axes: ChannelAxis[] = [];
  const add = (name: string, axis: number, role: ChannelAxis["role"], group?: ChannelGroup) => {
    if (group !== undefined && tensors[name] !== undefined) axes.push({ name, axis, group, role });
  };
  for (const node of network.nodes) {
    const own = groupOf.get(node.name);
    const kernel = `${node.name}/kernel`;
    const outputAxis = node.op === "conv2d" && node.depthwise ? 2 : 3;
    if (node.op === "conv2d") {
      if (!node.depthwise) add(kernel, 2, "read", groupOf.get(node.input));
      add(kernel, outputAxis, "given", own);
    } else if (node.op === "dense") {
      add(kernel, 0, "read", groupOf.get(node.input));
    }
    const folded = node.op === "conv2d" ? node.foldedBatchNorm : undefined;
    for (const owner of folded === undefined ? [node.name] : [node.name, folded])
      for (const name of names.get(owner) ?? []) {
        const shape = tensors[name]?.shape ?? [];
        if (!name.startsWith(kernel) && !name.includes(":")) add(name, 0, "given", own);
        else if (name.startsWith(`${kernel}:`) && (shape[outputAxis] ?? 1) > 1)
          add(name, outputAxis, "given", own);
      }
  }
  return axes;
}

/** Tensors of the network without the channels that do not stay. */
export function keptParameters(
  laboratory: Pick<Laboratory, "network" | "groups">,
  parameters: QuantizerValues,
  kept: Kept,
): QuantizerValues {
  const found: Record<string, QuantizerValue> = { ...parameters };
  for (const { name, axis, group } of channelAxes(laboratory, parameters)) {
    const indices = kept.get(group);
    const value = found[name];
    if (indices !== undefined && value !== undefined) found[name] = taken(value, axis, indices);
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
