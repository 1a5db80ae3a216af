import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { ConvNode, NetworkNode, Operators } from "../../algorithms/network.js";
import { MOST_SHIFT_BITS } from "../../algorithms/shiftWeights.js";
import { findNode, hasNode } from "./graph.js";
import type { QuantizedNetwork } from "./placeQuantizers.js";

/**
 * A quantized network some of whose convolutions shift, or measure distances, in place of multiplying. Kernels
 * keep their names and shapes.
 *
 * @throws RangeError for what is no plain convolution, or has no quantizer for itself
 */
export function withOperators(quantized: QuantizedNetwork, operators: Operators): QuantizedNetwork {
  const changed = Object.entries(operators).filter(([, kind]) => kind !== "convolution");
  return changed.reduce<QuantizedNetwork>(
    (before, [name, kind]) => (kind === "shift" ? shifting(before, name) : adding(before, name)),
    quantized,
  );
}

const replaced = (nodes: readonly NetworkNode[], by: NetworkNode): NetworkNode[] =>
  nodes.map((node) => (node.name === by.name ? by : node));

function convolutionOf({ network }: QuantizedNetwork, name: string): ConvNode {
  const node = hasNode(network, name) ? findNode(network, name) : undefined;
  if (node?.op !== "conv2d") throw new RangeError(`there is no convolution "${name}"`);
  return node;
}

function shifting(quantized: QuantizedNetwork, name: string): QuantizedNetwork {
  const { network, sites } = quantized;
  const node: ConvNode = { ...convolutionOf(quantized, name), operator: "shift" };
  return {
    network: { nodes: replaced(network.nodes, node) },
    sites: sites.map((site) => {
      if (site.id !== `${name}/kernel`) return site;
      const bitWidth = Math.min(site.scheme.bitWidth, MOST_SHIFT_BITS);
      return { ...site, operator: "shift", scheme: { ...site.scheme, bitWidth } };
    }),
  };
}

function adding(quantized: QuantizedNetwork, name: string): QuantizedNetwork {
  const { network, sites } = quantized;
  const node = convolutionOf(quantized, name);
  const { filters, kernelSize: size, stride, padding, input } = node;
  const isPlain = !node.depthwise && (node.groups ?? 1) === 1 && node.dilation === undefined;
  if (!isPlain || node.bias === true || node.foldedBatchNorm !== undefined)
    throw new RangeError(
      `"${name}" cannot be an adder layer: those have no groups, dilation or bias, and keep their batch norm`,
    );
  const weight = sites.find(({ id }) => id === `${name}/kernel`);
  const pixels = sites.find(({ id }) => id === input);
  const isQuantized = weight !== undefined && pixels !== undefined;
  if (isQuantized && input !== `${name}/input`)
    throw new RangeError(
      `"${name}" cannot be an adder layer: it shares the quantizer of what it reads`,
    );
  const operation = {
    ...{ kind: "adder" as const, filters, size, stride },
    ...(padding && { padding }),
    ...(isQuantized && { grid: input }),
  };
  const adder: NetworkNode = { op: "float", name, inputs: [input], operation };
  return {
    network: { nodes: replaced(network.nodes, adder) },
    sites: sites.flatMap((site) => {
      if (site === weight) return [];
      return site === pixels && isQuantized ? [shared(site, weight)] : [site];
    }),
  };
}

/** The grid of what is read, which filters of both signs are on, too. */
function shared(site: QuantizerSite, { scheme: { bitWidth } }: QuantizerSite): QuantizerSite {
  const { scheme } = site;
  return {
    ...{ ...site, nonNegative: false },
    scheme: {
      ...scheme,
      signed: scheme.symmetric ? true : scheme.signed,
      bitWidth: Math.max(scheme.bitWidth, bitWidth),
    },
  };
}
