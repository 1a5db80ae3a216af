import * as tf from "#tf";
import type { ChannelGroup, Experiment, Filters, Laboratory, Policy } from "../laboratory.js";
import type { QuantizerValue, QuantizerValues } from "../quantizer.js";
import type { Gene, Path } from "./genes.js";
import { policyOf } from "./genes.js";
import { channelAxes, keptParameters } from "./keptChannels.js";

/** Parts of the widest layer's channels that may be chosen, from its first channel on. */
const SHARES = [1, 0.8, 0.6, 0.4, 0.2];

type Searched = Pick<Laboratory, "groups">;

/** Groups whose channels may be fewer. */
const freeGroups = ({ groups }: Searched): readonly ChannelGroup[] =>
  groups.filter(({ fixedBy }) => fixedBy === undefined);

/** A gene for each group of convolutions that must have as many channels: how many, all of them first. */
export const channelGenes = (laboratory: Searched): readonly Gene[] =>
  freeGroups(laboratory).map(({ channels, convolutions }) => {
    const counts = SHARES.map((share) => Math.max(1, Math.round(share * channels)));
    return [...new Set(counts)].map((count) =>
      Object.fromEntries(convolutions.map((name) => [name, count])),
    );
  });

/** What a path of bits and channels decides: bits by site, channels by convolution. */
export interface Decided {
  readonly policy: Policy;
  readonly filters: Filters;
}

/** Takes apart what genes of bits and genes of channels say together. */
export function decidedBy({ groups }: Searched, both: Policy): Decided {
  const convolutions = new Set(groups.flatMap((group) => group.convolutions));
  const entries = Object.entries(both);
  return {
    policy: Object.fromEntries(entries.filter(([name]) => !convolutions.has(name))),
    filters: Object.fromEntries(entries.filter(([name]) => convolutions.has(name))),
  };
}

/** A layer's cost depends on its bits and on the channels on both its sides. */
export function costOfDecided(
  laboratory: Pick<Laboratory, "groups" | "cost">,
  genes: readonly Gene[],
): (path: Path) => number {
  const known = new Map<string, number>();
  return (path) => {
    const key = path.join();
    const { policy, filters } = decidedBy(laboratory, policyOf(genes, path));
    const cost = known.get(key) ?? laboratory.cost(policy, undefined, { filters });
    known.set(key, cost);
    return cost;
  };
}

const maskOf = ({ convolutions }: ChannelGroup): string => `channels of ${convolutions[0] ?? ""}`;

/** How steps of a network of all channels leave out those that a path does not have. */
export interface Narrowing {
  /** Inputs of a step: 1 for each channel that is there, 0 for others. */
  readonly masks: (policy: Policy) => QuantizerValues;
  /** A kernel of which only those channels are left. */
  readonly kernel: (
    w: tf.Tensor,
    id: string,
    inputs: Readonly<Record<string, tf.Tensor>>,
  ) => tf.Tensor;
  readonly after: NonNullable<Experiment["after"]>;
  readonly decided: (policy: Policy) => Decided;
}

/** The first channels of each group are those that there are, whatever their number. */
export function narrowing(
  laboratory: Pick<Laboratory, "network" | "groups" | "parameters">,
): Narrowing {
  const groups = freeGroups(laboratory);
  const isFree = new Set(groups);
  const axes = channelAxes(laboratory, laboratory.parameters).filter(
    ({ name, group }) => name.endsWith("/kernel") && isFree.has(group),
  );
  const computed = new Set(
    laboratory.network.nodes.flatMap(({ op, name }) =>
      op === "conv2d" || op === "batchNorm" ? [name] : [],
    ),
  );
  const groupOf = new Map(
    groups.flatMap((group) =>
      group.nodes.filter((name) => computed.has(name)).map((name) => [name, group] as const),
    ),
  );
  const maskIn = (inputs: Readonly<Record<string, tf.Tensor>>, group: ChannelGroup): tf.Tensor => {
    const mask = inputs[maskOf(group)];
    if (mask === undefined) throw new TypeError(`the step lacks the ${maskOf(group)}`);
    return mask;
  };
  return {
    decided: (policy) => decidedBy(laboratory, policy),
    masks: (policy) =>
      Object.fromEntries(
        groups.map((group): [string, QuantizerValue] => {
          const count = policy[group.convolutions[0] ?? ""] ?? group.channels;
          const data = Float32Array.from({ length: group.channels }, (_, i) => Number(i < count));
          return [maskOf(group), { shape: [group.channels], data }];
        }),
      ),
    kernel: (w, id, inputs) =>
      axes
        .filter(({ name }) => name === id)
        .reduce((kernel, { axis, group }) => {
          const shape = kernel.shape.map((size, i) => (i === axis ? size : 1));
          return tf.mul(kernel, tf.reshape(maskIn(inputs, group), shape));
        }, w),
    after(x, node, inputs) {
      const group = groupOf.get(node);
      return group === undefined ? x : tf.mul(x, maskIn(inputs, group));
    },
  };
}

/** The parameters of the first channels of each convolution. */
export const firstChannels = (
  laboratory: Pick<Laboratory, "network" | "groups" | "parameters">,
  filters: Filters,
): QuantizerValues =>
  keptParameters(
    laboratory,
    laboratory.parameters,
    new Map(
      freeGroups(laboratory).map((group) => {
        const count = filters[group.convolutions[0] ?? ""] ?? group.channels;
        return [group, Array.from({ length: count }, (_, i) => i)];
      }),
    ),
  );
