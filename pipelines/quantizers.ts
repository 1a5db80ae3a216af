import * as tf from "@tensorflow/tfjs";
import type {
  Algorithm,
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValues,
} from "../algorithms/algorithm.js";
import type { HostTensor, HostTensors, StepTensors } from "./engine/index.js";
import type { ForwardOptions } from "./network/forward.js";
import { findNode } from "./network/network.js";
import type { QuantizedNetwork } from "./network/placeQuantizers.js";

/** The quantizer that an algorithm has for a site. */
export function quantizerOf(algorithm: Algorithm, site: QuantizerSite): Quantizer {
  return site.role === "weight" ? algorithm.weight : algorithm.activation;
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
    const { scale } = quantizerOf(algorithm, site).quantParams(valuesOf(site, tensors), site, x);
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
