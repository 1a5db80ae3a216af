import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { ChannelGroup, Filters } from "../../algorithms/laboratory.js";
import type { Network } from "../../algorithms/network.js";
import { channelGroups } from "./channelGroups.js";
import { featureShapes } from "./featureShapes.js";
import { findNode } from "./graph.js";
import { multiplications, parameterSpecs } from "./parameterSpecs.js";
import type { QuantizedNetwork } from "./placeQuantizers.js";

/**
 * A quantized network whose convolutions have other numbers of output channels; depthwise ones that are not
 * named follow their input.
 *
 * @throws RangeError when what an addition or a depthwise convolution joins would not be as many, when other
 * nodes need as many as there are, or for a name or number that makes no sense
 */
export function withFilters(quantized: QuantizedNetwork, filters: Filters): QuantizedNetwork {
  if (Object.keys(filters).length === 0) return quantized;
  const { network, sites } = quantized;
  const counts = channelsFor(network, filters);
  const resized: Network = {
    nodes: network.nodes.map((node) => {
      const count = counts.get(node.name);
      return node.op === "conv2d" && count !== undefined ? { ...node, filters: count } : node;
    }),
  };
  return { network: resized, sites: sitesOf(resized, sites) };
}

/** Output channels of all convolutions, checked. */
function channelsFor(network: Network, filters: Filters): ReadonlyMap<string, number> {
  const groups = channelGroups(network);
  const known = groups.flatMap(({ convolutions }) => convolutions);
  for (const [name, count] of Object.entries(filters)) {
    if (!known.includes(name))
      throw new RangeError(`there is no convolution "${name}"; there are ${known.join(", ")}`);
    if (!Number.isInteger(count) || count < 1)
      throw new RangeError(`"${name}" cannot have ${String(count)} output channels`);
  }
  return new Map(
    groups.flatMap((group) => {
      const count = channelsOf(group, network, filters);
      return group.convolutions.map((name) => [name, count] as const);
    }),
  );
}

function channelsOf(
  { convolutions, channels, joinedBy, fixedBy }: ChannelGroup,
  network: Network,
  filters: Filters,
): number {
  const isFollower = (name: string) => {
    const node = findNode(network, name);
    return node.op === "conv2d" && node.depthwise && filters[name] === undefined;
  };
  const wanted = convolutions
    .filter((name) => !isFollower(name))
    .map((name) => ({ name, count: filters[name] ?? channels }));
  const [first = { name: "", count: channels }] = wanted;
  const other = wanted.find(({ count }) => count !== first.count);
  if (other !== undefined)
    throw new RangeError(
      `"${first.name}" and "${other.name}" must have as many output channels, since ${joinedBy.map((name) => `"${name}"`).join(" and ")} joins them; they would have ${String(first.count)} and ${String(other.count)}`,
    );
  if (fixedBy !== undefined && first.count !== channels)
    throw new RangeError(
      `"${first.name}" must keep its ${String(channels)} output channels, since ${fixedBy}; it would have ${String(first.count)}`,
    );
  return first.count;
}

/** The same sites with the shapes that a resized network gives them. */
function sitesOf(network: Network, sites: readonly QuantizerSite[]): readonly QuantizerSite[] {
  const shapes = featureShapes(network);
  const specs = parameterSpecs(network);
  const products = multiplications(network);
  return sites.map((site) =>
    site.role === "activation"
      ? { ...site, shape: shapes.get(site.id) ?? site.shape }
      : {
          ...site,
          shape: specs.get(site.id)?.shape ?? site.shape,
          multiplications: products.get(site.id.replace(/\/kernel$/, "")) ?? 0,
        },
  );
}
