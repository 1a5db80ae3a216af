import type { Network, NetworkNode } from "./network.js";
import type { CellBits } from "./algorithm.js";

/**
 * The network without the ReLUs in front of convolutions where activations become their signs, which
 * take their place: what a ReLU gives has one sign.
 */
export function withoutRelus(network: Network, bits?: CellBits): Network {
  if (bits?.activations !== 1) return network;
  const feeds = (name: string) =>
    network.nodes.some((node) => node.op === "conv2d" && node.input === name);
  const gone = new Map(
    network.nodes.flatMap((node) =>
      (node.op === "relu" || node.op === "relu6") && feeds(node.name)
        ? [[node.name, node.input] as const]
        : [],
    ),
  );
  const source = (name: string): string => {
    const input = gone.get(name);
    return input === undefined ? name : source(input);
  };
  return {
    nodes: network.nodes.filter(({ name }) => !gone.has(name)).map((node) => reading(node, source)),
  };
}

/** The node with other inputs. */
function reading(node: NetworkNode, rename: (input: string) => string): NetworkNode {
  if (node.op === "input") return node;
  if (node.op === "add")
    return { ...node, inputs: [rename(node.inputs[0]), rename(node.inputs[1])] };
  if ("inputs" in node) return { ...node, inputs: node.inputs.map(rename) };
  return { ...node, input: rename(node.input) };
}
