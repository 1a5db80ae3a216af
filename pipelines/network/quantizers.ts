import * as tf from "#tf";
import type {
  Algorithm,
  QuantParams,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValue,
  QuantizerValues,
} from "../../algorithms/algorithm.js";
import { shiftWeights } from "../../algorithms/shiftWeights.js";
import type { HostTensor, HostTensors, StepTensors } from "../engine/index.js";
import type { ForwardOptions } from "./pass.js";
import { findNode } from "./graph.js";
import type { QuantizedNetwork } from "./placeQuantizers.js";

/** The quantizer that an algorithm has for a site; shift layers have theirs. */
export function quantizerOf<Q>(
  algorithm: Readonly<Record<QuantizerSite["role"], Q>>,
  { role, operator }: QuantizerSite,
): Q | typeof shiftWeights {
  return operator === "shift" ? shiftWeights : algorithm[role];
}

/** Name of a quantizer's value among all tensors of a training. */
export const valueName = (site: QuantizerSite, name: string): string => `${site.id}:${name}`;

/** Picks one site's values out of all tensors. */
export function valuesOf(site: QuantizerSite, tensors: StepTensors): QuantizerTensors {
  const prefix = `${site.id}:`;
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}

export function toHost(site: QuantizerSite, values: QuantizerValues): HostTensors {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [
      valueName(site, name),
      { dtype: "float32", shape, data } satisfies HostTensor,
    ]),
  );
}

/** All tensors, with the last values of quantizers whose training is softer than deployment. */
export function finished(
  algorithm: Algorithm,
  sites: readonly QuantizerSite[],
  tensors: HostTensors,
): HostTensors {
  const result: Record<string, HostTensor> = { ...tensors };
  for (const site of sites) {
    const quantizer = quantizerOf(algorithm, site);
    if (quantizer.finish === undefined) continue;
    const prefix = valueName(site, "");
    const values: Record<string, QuantizerValue> = {};
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      if (name.startsWith(prefix))
        values[name.slice(prefix.length)] = { shape, data: Float32Array.from(data) };
    }
    Object.assign(result, toHost(site, quantizer.finish(values, site)));
  }
  return result;
}

/** What `forward` calls at each site: the algorithm's fake quantization with these values. */
export function quantizeWith(
  algorithm: Algorithm,
  sites: readonly QuantizerSite[],
  tensors: StepTensors,
): (siteId: string, x: tf.Tensor) => tf.Tensor {
  const byId = new Map(sites.map((site) => [site.id, site]));
  return (id, x) => {
    const site = byId.get(id);
    if (site === undefined) return x;
    return quantizerOf(algorithm, site).fakeQuantize(x, valuesOf(site, tensors), site);
  };
}

/** What each site's quantizer read, by site. */
export const tensorOf =
  (read: ReadonlyMap<string, tf.Tensor>) =>
  ({ id }: QuantizerSite): tf.Tensor => {
    const tensor = read.get(id);
    if (tensor === undefined) throw new Error(`a loss asks for "${id}", which nothing quantizes`);
    return tensor;
  };

/** The uniform grid of a site, or nothing where its levels are a codebook. */
export function uniformGrid(
  algorithm: Algorithm,
  site: QuantizerSite,
  values: QuantizerTensors,
  x?: tf.Tensor,
): QuantParams | undefined {
  const quantizer = quantizerOf(algorithm, site);
  if (quantizer.codebook?.(values, site, x) !== undefined) return undefined;
  return quantizer.quantParams(values, site, x);
}

export type DeployedMode = Required<Pick<ForwardOptions, "quantize" | "bias">>;

/** What `forward` needs to evaluate a network as it will be deployed, integer biases included. */
export function asDeployed(
  algorithm: Algorithm,
  { network, sites }: QuantizedNetwork,
  tensors: StepTensors,
): DeployedMode {
  const byId = new Map(sites.map((site) => [site.id, site]));
  const scaleOf = (id: string, x?: tf.Tensor) => {
    const site = byId.get(id);
    if (site === undefined) return undefined;
    const scale = uniformGrid(algorithm, site, valuesOf(site, tensors), x)?.scale;
    if (scale === undefined) return undefined;
    return scale.size === 1 ? tf.reshape(scale, []) : tf.reshape(scale, [scale.size]);
  };
  return {
    quantize: quantizeWith(algorithm, sites, tensors),
    bias(layer, kernel, exact) {
      if (findNode(network, layer.input).op !== "quantize") return exact;
      const [input, weight] = [scaleOf(layer.input), scaleOf(`${layer.name}/kernel`, kernel)];
      if (input === undefined || weight === undefined) return exact;
      // Devices hold a bias in whole steps of the accumulator it is added to.
      const step = tf.mul(weight, input);
      return tf.mul(tf.round(tf.div(exact, step)), step);
    },
  };
}

export const unquantized = (_: string, x: tf.Tensor): tf.Tensor => x;
