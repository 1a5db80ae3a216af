import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { HostTensor } from "../engine/index.js";
import {
  BATCH_NORM_EPSILON,
  featureShapes,
  isLayer,
  parameterSpecs,
  type QuantizedNetwork,
} from "../network/index.js";
import type { FrozenBatchNorm, FrozenLevels, FrozenNetwork, FrozenWeight } from "./freeze.js";

/** Of all grids; a power of two, which every backend holds. */
const STEP = 2 ** -6;

/**
 * A network with numbers that mean nothing, for what depends on its shapes and widths alone, such as how long it takes. The same
 * network gets the same numbers.
 */
export function placeholders({ network, sites }: QuantizedNetwork): FrozenNetwork {
  const specs = parameterSpecs(network);
  const shapes = featureShapes(network);
  const sizeOf = (id: string) => (specs.get(id)?.shape ?? []).reduce((a, b) => a * b, 1);
  const weights = new Map<string, FrozenWeight>();
  const activations = new Map<string, FrozenLevels>();
  for (const site of sites) {
    const on = gridOf(site);
    if (site.role === "activation") activations.set(site.id, on);
    else weights.set(site.id, { on, codes: codesOf(site, sizeOf(site.id)) });
  }
  const kernels = new Map<string, HostTensor>();
  const biases = new Map<string, Float32Array>();
  const batchNorms = new Map<string, FrozenBatchNorm>();
  for (const node of network.nodes) {
    const { name } = node;
    const channels = shapes.get(name)?.at(-1) ?? 1;
    const all = (value: number) => new Float32Array(channels).fill(value);
    if (isLayer(node)) {
      const id = `${name}/kernel`;
      if (!weights.has(id))
        kernels.set(id, {
          ...{ dtype: "float32", shape: specs.get(id)?.shape ?? [] },
          data: Float32Array.from({ length: sizeOf(id) }, (_, i) => ((i % 7) - 3) * STEP),
        });
      if (node.op === "dense" || node.bias === true || node.foldedBatchNorm !== undefined)
        biases.set(name, all(STEP));
    } else if (node.op === "batchNorm") {
      batchNorms.set(name, {
        ...{ gamma: all(1), beta: all(0), mean: all(0), variance: all(1) },
        epsilon: BATCH_NORM_EPSILON,
      });
    }
  }
  const ofFloat = network.nodes.filter(({ op }) => op === "float").map(({ name }) => `${name}/`);
  const floats = Object.fromEntries(
    [...specs]
      .filter(([id]) => ofFloat.some((prefix) => id.startsWith(prefix)))
      .map(([id, { shape }]): [string, HostTensor] => [
        id,
        { dtype: "float32", shape, data: new Float32Array(sizeOf(id)).fill(STEP) },
      ]),
  );
  return { network, sites, kernels, weights, activations, biases, batchNorms, floats };
}

function gridOf(site: QuantizerSite): FrozenLevels {
  const { quantMin, quantMax } = rangeOf(site);
  const perChannel = site.role === "weight" && site.scheme.granularity === "perChannel";
  const count = perChannel ? (site.shape[site.channelAxis] ?? 1) : 1;
  const zero = site.scheme.symmetric || site.nonNegative ? 0 : (quantMin + quantMax + 1) / 2;
  return {
    scale: new Float32Array(count).fill(STEP),
    zeroPoint: new Float32Array(count).fill(
      Math.min(quantMax, Math.max(quantMin, Math.floor(zero))),
    ),
  };
}

/** All integers of a width in turn. */
function codesOf(site: QuantizerSite, size: number): Int32Array {
  const { quantMin, quantMax } = rangeOf(site);
  return Int32Array.from({ length: size }, (_, i) => quantMin + (i % (quantMax - quantMin + 1)));
}
