import type { ChannelGroup, Laboratory, RandomNumbers } from "../laboratory.js";
import type { QuantizerValue, QuantizerValues } from "../quantizer.js";
import { startDescent, type Descent } from "./descent.js";
import { channelAxes, keptParameters, type ChannelAxis } from "./keptChannels.js";

/** How small the weights are by which filters that there were read channels that there were not. */
const NEAR_ZERO = 0.01;

/**
 * A descent's tensors with more channels, and its velocities with zeros for these. What there was stays: new
 * filters start as in training from scratch (He et al., 2015), with scale 1 and shift 0; old filters read new
 * channels with weights near 0.
 *
 * @param counts channels of groups that grow
 */
export function grown(
  laboratory: Pick<Laboratory, "network" | "groups">,
  { tensors, velocities }: Descent,
  {
    counts,
    random,
  }: { readonly counts: ReadonlyMap<ChannelGroup, number>; readonly random: RandomNumbers },
): Descent {
  const values: Record<string, QuantizerValue> = { ...tensors };
  const speeds: Record<string, Float32Array> = { ...velocities };
  // What kernels read comes first, so that new filters are new as a whole.
  for (const one of channelAxes(laboratory, tensors).toSorted((a, b) => rank(a) - rank(b))) {
    const { name, axis, group } = one;
    const count = counts.get(group);
    const value = values[name];
    if (value === undefined || count === undefined || count <= (value.shape[axis] ?? 0)) continue;
    values[name] = extended(value, axis, count, firstValue(one, value, random));
    const speed = speeds[name];
    if (speed !== undefined)
      speeds[name] = extended({ ...value, data: speed }, axis, count, () => 0).data;
  }
  return { tensors: values, velocities: speeds };
}

/**
 * The float network's parameters with so many channels by group: the first ones of a group that gets narrower,
 * new ones behind those that there are of one that gets wider.
 */
export function resized(
  laboratory: Pick<Laboratory, "network" | "groups" | "parameters">,
  counts: ReadonlyMap<ChannelGroup, number>,
  random: RandomNumbers,
): QuantizerValues {
  const kept = new Map(
    [...counts]
      .filter(([{ channels }, count]) => count < channels)
      .map(([group, count]) => [group, [...Array(count).keys()]] as const),
  );
  const narrowed = keptParameters(laboratory, laboratory.parameters, kept);
  return grown(laboratory, startDescent(narrowed), { counts, random }).tensors;
}

const rank = ({ role }: ChannelAxis): number => (role === "read" ? 0 : 1);

/** First values of what is new, told from the value at the same place of the last old slice. */
function firstValue(
  { name, axis, role }: ChannelAxis,
  { shape }: QuantizerValue,
  random: RandomNumbers,
): (last: number) => number {
  if (name.endsWith("/kernel")) {
    // Depthwise kernels are [k, k, c, 1]: each filter reads one channel.
    const inputs =
      shape.length === 2 ? (shape[0] ?? 1) : shape.slice(0, 3).reduce((a, b) => a * b, 1);
    const isDepthwise = axis === 2 && role === "given";
    const fanIn = isDepthwise ? inputs / (shape[2] ?? 1) : inputs;
    const bound = Math.sqrt(6 / fanIn) * (role === "read" ? NEAR_ZERO : 1);
    return () => (2 * random.uniform() - 1) * bound;
  }
  if (name.includes(":")) return (last) => last;
  const constant = /\/(gamma|variance)(?: |$)/.test(name) ? 1 : 0;
  return () => constant;
}

/** A value with more slices behind the last one along an axis. */
export function extended(
  { shape, data }: QuantizerValue,
  axis: number,
  count: number,
  fill: (last: number) => number,
): QuantizerValue {
  const length = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = data.length / (length * inner);
  const result = new Float32Array(outer * count * inner);
  for (let block = 0; block < outer; block++) {
    const from = block * length * inner;
    result.set(data.subarray(from, from + length * inner), block * count * inner);
    for (let i = length * inner; i < count * inner; i++)
      result[block * count * inner + i] = fill(
        data[from + (length - 1) * inner + (i % inner)] ?? 0,
      );
  }
  return { shape: shape.map((size, at) => (at === axis ? count : size)), data: result };
}
