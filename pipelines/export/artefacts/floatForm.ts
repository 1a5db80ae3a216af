import type { HostTensor } from "../../engine/index.js";
import { dequantized, type FrozenNetwork } from "../../freeze/index.js";
import { exportOnnx } from "../onnx/exportOnnx.js";
import { parameterSpecs, withInputs } from "../../network/index.js";
import type { NetworkNode } from "../../../algorithms/network.js";

/**
 * The network without its quantizers, with the weights that they left: what toolchains that
 * quantize by themselves are given beside their table of ranges. Quantizing these weights on the
 * same grid changes nothing.
 */
export function floatForm(frozen: FrozenNetwork): FrozenNetwork {
  const producers = new Map<string, string>();
  const resolve = (name: string): string => producers.get(name) ?? name;
  const nodes = frozen.network.nodes.flatMap((node): NetworkNode[] => {
    if (node.op !== "quantize") return [withInputs(node, resolve)];
    producers.set(node.name, resolve(node.input));
    return [];
  });
  const specs = parameterSpecs(frozen.network);
  const kernels = new Map<string, HostTensor>(frozen.kernels);
  const floats: Record<string, HostTensor> = { ...frozen.floats };
  for (const id of frozen.weights.keys()) {
    const shape = specs.get(id)?.shape ?? [];
    const values = { dtype: "float32", shape, data: dequantized(frozen, id) } as const;
    if (id in floats) floats[id] = values;
    else kernels.set(id, values);
  }
  return {
    ...frozen,
    network: { nodes },
    sites: [],
    ...{ kernels, floats },
    weights: new Map(),
    activations: new Map(),
  };
}

export const floatModel = (frozen: FrozenNetwork, name: string): Uint8Array =>
  exportOnnx(floatForm(frozen), name);
