import { idleQuantizers, leftInFloat, parameterSpecs } from "../network/index.js";
import { dequantized } from "./encoding.js";
import type { FrozenNetwork } from "./freeze.js";

/**
 * The network with some layers computed in float, on the values that their integer weights stand for; quantizers that only
 * served those layers are gone.
 *
 * @param layers names of layers whose weights are integers
 */
export function layersInFloat(frozen: FrozenNetwork, layers: ReadonlySet<string>): FrozenNetwork {
  const idle = idleQuantizers(frozen, layers);
  const specs = parameterSpecs(frozen.network);
  const kernels = new Map(frozen.kernels);
  const weights = new Map(frozen.weights);
  for (const name of layers) {
    const id = `${name}/kernel`;
    const shape = specs.get(id)?.shape ?? [];
    kernels.set(id, { dtype: "float32", shape, data: dequantized(frozen, id) });
    weights.delete(id);
  }
  const gone = new Set([...idle, ...[...layers].map((name) => `${name}/kernel`)]);
  const activations = new Map([...frozen.activations].filter(([id]) => !idle.has(id)));
  return { ...frozen, ...leftInFloat(frozen, gone), kernels, weights, activations };
}
