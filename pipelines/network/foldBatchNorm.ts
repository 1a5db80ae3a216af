import type { BatchNormStrategy } from "../../backends/backend.js";
import { sizeOf, type HostTensor, type HostTensors } from "../engine/index.js";
import { BATCH_NORM_EPSILON } from "./batchNorm.js";
import { consumersOf, findNode, withInputs } from "./graph.js";
import type { ConvNode, Network } from "../../algorithms/network.js";

/**
 * Merges every batch norm into the convolution before it, where that convolution feeds nothing
 * else. -1 changes nothing; 0 leaves a plain convolution with a bias, whose parameters
 * `mergeParameters` computes; with 1 to 4 parameters keep their names, and the convolution knows
 * which batch norm it took over and how training is to treat it.
 */
export function foldBatchNorm(network: Network, strategy: BatchNormStrategy): Network {
  if (strategy === -1) return network;
  const folded = foldable(network);
  const batchNormOf = new Map(
    [...folded].map(([batchNorm, convolution]) => [convolution, batchNorm]),
  );
  return {
    nodes: network.nodes
      .filter((node) => !folded.has(node.name))
      .map((node) => {
        const renamed = withInputs(node, (name) => folded.get(name) ?? name);
        const batchNorm = batchNormOf.get(node.name);
        if (renamed.op !== "conv2d" || batchNorm === undefined) return renamed;
        return strategy === 0
          ? { ...renamed, bias: true }
          : { ...renamed, foldedBatchNorm: batchNorm, foldStrategy: strategy };
      }),
  };
}

/** Batch norms that can be merged, with the convolution that takes each. */
function foldable(network: Network): ReadonlyMap<string, string> {
  const folded = new Map<string, string>();
  for (const node of network.nodes) {
    if (node.op !== "batchNorm") continue;
    const producer = findNode(network, node.input);
    if (
      producer.op === "conv2d" &&
      !producer.bias &&
      consumersOf(network, producer.name).length === 1
    ) {
      folded.set(node.name, producer.name);
    }
  }
  return folded;
}

/**
 * Strategy 0: the parameters of a network without the batch norms that can be merged.
 *
 * @param network before folding
 */
export function mergeParameters(network: Network, parameters: HostTensors): HostTensors {
  const merged = new Map(Object.entries(parameters));
  for (const [batchNorm, convolution] of foldable(network)) {
    const [gamma, beta, mean, variance] = ["gamma", "beta", "mean", "variance"].map((part) => {
      const name = `${batchNorm}/${part}`;
      merged.delete(name);
      return dataOf(parameters, name);
    }) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const factor = gamma.map((g, i) => g / Math.sqrt((variance[i] ?? 1) + BATCH_NORM_EPSILON));
    const bias = beta.map((b, i) => b - (mean[i] ?? 0) * (factor[i] ?? 1));
    const node = findNode(network, convolution) as ConvNode; // `foldable` names convolutions
    const name = `${convolution}/kernel`;
    merged.set(name, scaleFilters(node, merged.get(name) ?? missing(name), factor));
    merged.set(`${convolution}/bias`, { dtype: "float32", shape: [bias.length], data: bias });
  }
  return Object.fromEntries(merged);
}

/** The kernel with each filter multiplied by its factor. */
export function scaleFilters(
  node: ConvNode,
  { shape, data }: HostTensor,
  factor: Float32Array,
): HostTensor {
  // Filters lie along the last axis; those of depthwise kernels along the third of [k, k, c, 1].
  const inner = node.depthwise ? sizeOf(shape.slice(3)) : 1;
  const scaled = Float32Array.from(
    data,
    (weight, i) => weight * (factor[Math.floor(i / inner) % node.filters] ?? 1),
  );
  return { dtype: "float32", shape, data: scaled };
}

function dataOf(parameters: HostTensors, name: string): Float32Array {
  const data = parameters[name]?.data;
  return data instanceof Float32Array ? data : missing(name);
}

function missing(name: string): never {
  throw new Error(`network parameter "${name}" is missing`);
}
