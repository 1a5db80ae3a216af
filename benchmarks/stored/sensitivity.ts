import type { PartlyQuantized, Behavior, SiteBits } from "../../pipelines/deploy/index.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { isLayer, type QuantizedNetwork } from "../../pipelines/network/index.js";

/** In simulation, and exported on the runtime. */
export interface Twice {
  readonly simulated: Behavior;
  readonly deployed: Behavior;
}

/** How much a network suffers from the quantizers of one part. */
export interface Sensitivity extends Part {
  /** Quantized, all else in float. */
  readonly alone: Twice;
  /** In float, all else quantized. */
  readonly without: Twice;
}

/** A layer, its weights, or what it reads; or a tensor that no layer reads, such as a sum's. */
export interface Part {
  readonly layer: string;
  readonly kind: "weights" | "inputs" | "layer" | "tensor";
  readonly sites: readonly string[];
}

export interface Sensitivities {
  readonly inFloat: Behavior;
  readonly quantized: Twice;
  /** The most sensitive first: by the loss with it alone quantized on the runtime. */
  readonly ranking: readonly Sensitivity[];
}

/** Every layer, its weights and its inputs apart, and other tensors. What layers share is in each of them. */
export function partsOf({ network, sites }: QuantizedNetwork): readonly Part[] {
  const ids = new Set(sites.map(({ id }) => id));
  const layers = network.nodes.filter(isLayer).flatMap(({ name, input }) => {
    const weights = [`${name}/kernel`].filter((id) => ids.has(id));
    const inputs = [input].filter((id) => ids.has(id));
    const parts: readonly Part[] = [
      { layer: name, kind: "weights", sites: weights },
      { layer: name, kind: "inputs", sites: inputs },
      { layer: name, kind: "layer", sites: [...weights, ...inputs] },
    ];
    // A layer with one site is that site.
    return parts.filter(
      (part) =>
        part.sites.length > 0 &&
        (part.kind === "layer" || part.sites.length < weights.length + inputs.length),
    );
  });
  const inLayers = new Set(layers.flatMap((part) => part.sites));
  const others = sites.filter(({ id }) => !inLayers.has(id));
  return [...layers, ...others.map(({ id }): Part => ({ layer: id, kind: "tensor", sites: [id] }))];
}

/** Parts that do not overlap but where layers share an input: together, they are the network. */
export const isWhole = ({ kind }: Part): boolean => kind === "layer" || kind === "tensor";

/** As people read it. */
export const partName = (part: Part): string =>
  isWhole(part) ? part.layer : `${part.layer} ${part.kind}`;

export const inFloat = (sites: readonly string[]): SiteBits =>
  Object.fromEntries(sites.map((id) => [id, FLOAT_BITS]));

/** Each part alone quantized and alone in float. */
export async function measureSensitivities(
  network: PartlyQuantized,
  quantized: QuantizedNetwork,
  onPart: (done: number, all: number) => void,
): Promise<Sensitivities> {
  const all = quantized.sites.map(({ id }) => id);
  const twice = async (bits: SiteBits): Promise<Twice> => ({
    simulated: await network.simulated(bits),
    deployed: await network.deployed(bits),
  });
  const parts = partsOf(quantized);
  const ranking: Sensitivity[] = [];
  for (const part of parts) {
    ranking.push({
      ...part,
      alone: await twice(inFloat(all.filter((id) => !part.sites.includes(id)))),
      without: await twice(inFloat(part.sites)),
    });
    onPart(ranking.length, parts.length);
  }
  return {
    inFloat: network.inFloat(),
    quantized: await twice({}),
    ranking: ranking.toSorted((a, b) => b.alone.deployed.loss - a.alone.deployed.loss),
  };
}
