import * as tf from "#tf";
import type { Laboratory, Runs } from "../laboratory.js";
import type { ConvNode, Network, NetworkNode, OperatorKind } from "../network.js";
import type { QuantizerSite, QuantizerValue, QuantizerValues } from "../quantizer.js";
import { MOST_SHIFT_BITS, shiftWeights } from "../shiftWeights.js";
import type { ActiveOperators } from "./operatorChoices.js";

/** A convolution that may become another operator, and its batch norm. */
export interface SearchedConvolution {
  readonly node: ConvNode;
  readonly batchNorm: string;
}

/** What every layer is, or is at the same time, by its name. */
export type Kinds = (layer: string) => readonly OperatorKind[];

/** How a supernet calls a node of one of a layer's operators. */
export const asKind = (name: string, kind: OperatorKind): string => `${name}~${kind}`;
/** By which a step is told how much of each operator of a layer takes part. */
export const partOf = (layer: string, kind: OperatorKind): string =>
  `part of ${asKind(layer, kind)}`;

const PARTS = ["gamma", "beta", "mean", "variance"] as const;
/** Of uniform numbers with a variance of 1, as adder layers start. */
const UNIT = Math.sqrt(3);

/** Plain convolutions between the first and the last layer, each with a batch norm of its own. */
export function searchedConvolutions({
  network,
  layers,
}: Pick<Laboratory, "network" | "layers">): readonly SearchedConvolution[] {
  const readers = (name: string) =>
    network.nodes.filter((node) =>
      "inputs" in node ? node.inputs.includes(name) : "input" in node && node.input === name,
    );
  return layers.slice(1, -1).flatMap(({ node }) => {
    if (node.op !== "conv2d" || node.depthwise || (node.groups ?? 1) > 1) return [];
    if (node.bias === true || node.dilation !== undefined) return [];
    if (node.foldedBatchNorm !== undefined || node.operator !== undefined) return [];
    const [batchNorm, ...others] = readers(node.name);
    return batchNorm?.op === "batchNorm" && others.length === 0
      ? [{ node, batchNorm: batchNorm.name }]
      : [];
  });
}

const operatorNode = ({ node }: SearchedConvolution, kind: OperatorKind): NetworkNode => {
  const name = asKind(node.name, kind);
  if (kind === "convolution") return { ...node, name };
  if (kind === "shift") return { ...node, name, operator: "shift" };
  const { filters, kernelSize: size, stride, padding } = node;
  const operation = { kind, filters, size, stride, ...(padding && { padding }) };
  return { op: "float", name, inputs: [node.input], operation };
};

/** The network with several operators in place of each searched convolution, whose normalized results are added. */
export function supernetOf(
  network: Network,
  searched: readonly SearchedConvolution[],
  kinds: Kinds,
): Network {
  const byConvolution = new Map(searched.map((one) => [one.node.name, one]));
  const byBatchNorm = new Map(searched.map((one) => [one.batchNorm, one]));
  return {
    nodes: network.nodes.flatMap((node): NetworkNode[] => {
      const convolution = byConvolution.get(node.name);
      if (convolution !== undefined)
        return kinds(node.name).map((kind) => operatorNode(convolution, kind));
      const normalized = byBatchNorm.get(node.name);
      if (normalized === undefined) return [node];
      const { node: layer, batchNorm } = normalized;
      const own = kinds(layer.name).map((kind): NetworkNode => ({
        ...{ op: "batchNorm", name: asKind(batchNorm, kind) },
        input: asKind(layer.name, kind),
      }));
      const inputs = own.map(({ name }) => name);
      return [...own, { op: "float", name: batchNorm, inputs, operation: { kind: "sum" } }];
    }),
  };
}

/**
 * First parameters: those of the float network, which convolutions and shift layers share; distances start anew.
 */
export function firstParameters(
  { parameters, random }: Pick<Laboratory, "parameters" | "random">,
  searched: readonly SearchedConvolution[],
  kinds: Kinds,
): QuantizerValues {
  const all: Record<string, QuantizerValue> = { ...parameters };
  for (const { node, batchNorm } of searched) {
    const kernel = all[`${node.name}/kernel`];
    if (kernel === undefined) throw new TypeError(`"${node.name}" has no kernel`);
    for (const kind of kinds(node.name)) {
      all[`${asKind(node.name, kind)}/kernel`] =
        kind === "adder" ? anew(kernel, () => random(`adder ${node.name}`)) : kernel;
      for (const part of PARTS) {
        const own = all[`${batchNorm}/${part}`];
        if (own === undefined) throw new TypeError(`"${batchNorm}" has no ${part}`);
        const constant = part === "gamma" || part === "variance" ? 1 : 0;
        all[`${asKind(batchNorm, kind)}/${part}`] =
          kind === "adder" ? { ...own, data: own.data.map(() => constant) } : own;
      }
    }
  }
  return all;
}

function anew(
  { shape, data }: QuantizerValue,
  open: () => { uniform: () => number },
): QuantizerValue {
  const numbers = open();
  return { shape, data: data.map(() => UNIT * (2 * numbers.uniform() - 1)) };
}

/** The parameters of one operator for each layer, by the names that the network has for them. */
export function chosenParameters(
  tensors: QuantizerValues,
  searched: readonly SearchedConvolution[],
  kindOf: (layer: string) => OperatorKind,
): QuantizerValues {
  const chosen: Record<string, QuantizerValue> = {};
  const take = (name: string, from: string) => {
    const value = tensors[from];
    if (value === undefined) throw new TypeError(`the supernet has no "${from}"`);
    chosen[name] = value;
  };
  for (const { node, batchNorm } of searched) {
    const kind = kindOf(node.name);
    take(`${node.name}/kernel`, `${asKind(node.name, kind)}/kernel`);
    for (const part of PARTS) take(`${batchNorm}/${part}`, `${asKind(batchNorm, kind)}/${part}`);
  }
  for (const [name, value] of Object.entries(tensors))
    if (!(name in chosen) && !name.includes("~")) chosen[name] = value;
  return chosen;
}

/** The sites of shift layers' weights in a supernet. */
function shiftSites(
  sites: readonly QuantizerSite[],
  searched: readonly SearchedConvolution[],
): readonly QuantizerSite[] {
  return searched.flatMap(({ node }) => {
    const site = sites.find(({ id }) => id === `${node.name}/kernel`);
    if (site === undefined) return [];
    const bitWidth = Math.min(site.scheme.bitWidth, MOST_SHIFT_BITS);
    const id = `${asKind(node.name, "shift")}/kernel`;
    return [{ ...site, id, operator: "shift", scheme: { ...site.scheme, bitWidth } }];
  });
}

/**
 * A supernet that runs: in float, but for shift layers, whose weights are powers of two.
 *
 * @param by the parameters, or parts of operators, by which the loss is differentiated
 */
export function prepareSupernet(
  { network, sites, prepare }: Pick<Laboratory, "network" | "sites" | "prepare">,
  searched: readonly SearchedConvolution[],
  { kinds, by }: { readonly kinds: Kinds; readonly by: readonly string[] },
): Runs {
  const parts = new Map(
    searched.flatMap(({ node, batchNorm }) =>
      kinds(node.name).map((kind) => [asKind(batchNorm, kind), partOf(node.name, kind)] as const),
    ),
  );
  return prepare({
    network: supernetOf(network, searched, kinds),
    sites: shiftSites(sites, searched),
    ...{ by, training: true },
    quantize: (x, site) => shiftWeights.fakeQuantize(x, {}, site),
    after(x, node, inputs) {
      const part = inputs[parts.get(node) ?? ""];
      return part === undefined ? x : tf.mul(x, part);
    },
  });
}

/** What a step reads of each layer's operators: how much of those that are active, and nothing of others. */
export const partInputs = (
  searched: readonly SearchedConvolution[],
  kinds: Kinds,
  activeOf: (layer: string) => ActiveOperators,
): QuantizerValues =>
  Object.fromEntries(
    searched.flatMap(({ node }) => {
      const { places, parts } = activeOf(node.name);
      return kinds(node.name).map((kind, place) => {
        const part = parts[places.indexOf(place)] ?? 0;
        return [partOf(node.name, kind), { shape: [], data: Float32Array.of(part) }] as const;
      });
    }),
  );
