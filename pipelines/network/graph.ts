import type { ConvNode, DenseNode, Network, NetworkNode } from "../../algorithms/network.js";
import { remembered } from "./remembered.js";

/** Whether a node has weights that are quantized. */
export const isLayer = (node: NetworkNode): node is ConvNode | DenseNode =>
  node.op === "conv2d" || node.op === "dense";

export function inputsOf(node: NetworkNode): readonly string[] {
  switch (node.op) {
    case "input":
      return [];
    case "add":
    case "concat":
    case "float":
      return node.inputs;
    default:
      return [node.input];
  }
}

/** The node, reading from other nodes; `rename` maps each input's name. */
export function withInputs(node: NetworkNode, rename: (name: string) => string): NetworkNode {
  switch (node.op) {
    case "input":
      return node;
    case "add":
      return { ...node, inputs: [rename(node.inputs[0]), rename(node.inputs[1])] };
    case "concat":
    case "float":
      return { ...node, inputs: node.inputs.map(rename) };
    default:
      return { ...node, input: rename(node.input) };
  }
}

const nodesByName = remembered(
  (network) => new Map(network.nodes.map((node) => [node.name, node])),
);

export const hasNode = (network: Network, name: string): boolean => nodesByName(network).has(name);

export function findNode(network: Network, name: string): NetworkNode {
  const node = nodesByName(network).get(name);
  if (node === undefined) throw new Error(`network has no node "${name}"`);
  return node;
}

const consumersByName = remembered((network) => {
  const consumers = new Map<string, NetworkNode[]>();
  for (const node of network.nodes) {
    for (const input of new Set(inputsOf(node))) {
      const known = consumers.get(input);
      if (known === undefined) consumers.set(input, [node]);
      else known.push(node);
    }
  }
  return consumers;
});

export function consumersOf(network: Network, name: string): readonly NetworkNode[] {
  return consumersByName(network).get(name) ?? [];
}
