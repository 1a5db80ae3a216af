import { consumersOf, findNode, withInputs, type Network } from "./network.js";

/**
 * Merges every batch norm into the convolution before it, where that convolution feeds nothing
 * else. Parameters keep their names; the convolution knows which batch norm it took over.
 */
export function foldBatchNorm(network: Network): Network {
  const folded = new Map<string, string>(); // batch norm -> convolution
  for (const node of network.nodes) {
    if (node.op !== "batchNorm") continue;
    const producer = findNode(network, node.input);
    if (producer.op === "conv2d" && consumersOf(network, producer.name).length === 1) {
      folded.set(node.name, producer.name);
    }
  }
  const batchNormOf = new Map(
    [...folded].map(([batchNorm, convolution]) => [convolution, batchNorm]),
  );
  return {
    nodes: network.nodes
      .filter((node) => !folded.has(node.name))
      .map((node) => {
        const renamed = withInputs(node, (name) => folded.get(name) ?? name);
        const batchNorm = batchNormOf.get(node.name);
        return renamed.op === "conv2d" && batchNorm !== undefined
          ? { ...renamed, foldedBatchNorm: batchNorm }
          : renamed;
      }),
  };
}
