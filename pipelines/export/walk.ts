import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { FeatureShape, NetworkNode } from "../../algorithms/network.js";
import type { FrozenNetwork } from "../freeze/index.js";
import { featureShapes } from "../network/index.js";
import { freeName } from "./names.js";

type NodeOf<Operator extends NetworkNode["op"]> = NetworkNode & { readonly op: Operator };

/** How a form writes each kind of node: what the node becomes in it. */
export type Writer<Context, Value> = {
  readonly [Operator in NetworkNode["op"]]: (node: NodeOf<Operator>, context: Context) => Value;
};

/** What a writer may ask while it goes through a network. */
export interface Walked<Value> {
  readonly frozen: FrozenNetwork;
  /** What an earlier node became. */
  readonly valueOf: (node: string) => Value;
  readonly shapeOf: (node: string) => FeatureShape;
  readonly siteOf: (id: string) => QuantizerSite;
  /** A name for what the form adds, which no node has. */
  readonly free: (wanted: string) => string;
}

/**
 * Writes every node of a network after those that it reads.
 *
 * @param own what the form needs besides: the file that it writes, its options
 * @returns what the writer had, for what follows the nodes
 * @throws whatever the writer throws; NoForm where the form lacks an operator
 */
export function walk<Own, Value>(
  frozen: FrozenNetwork,
  own: Own,
  writer: Writer<Walked<Value> & Own, Value>,
): Walked<Value> & Own {
  const { network } = frozen;
  if (network.nodes.length === 0) throw new Error("the network has no nodes");
  const shapes = featureShapes(network);
  const sites = new Map(frozen.sites.map((site) => [site.id, site]));
  const values = new Map<string, { readonly value: Value }>();
  const context = {
    ...own,
    frozen,
    valueOf: (node: string) =>
      found(values.get(node), `"${node}" is read before it is written`).value,
    shapeOf: (node: string) => found(shapes.get(node), `the network has no node "${node}"`),
    siteOf: (id: string) => found(sites.get(id), `no quantizer site "${id}"`),
    free: (wanted: string) => freeName(network, wanted),
  };
  for (const node of network.nodes) {
    const write = writer[node.op] as (node: NetworkNode, context: Walked<Value> & Own) => Value;
    values.set(node.name, { value: write(node, context) });
  }
  return context;
}

function found<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new Error(otherwise);
  return value;
}
