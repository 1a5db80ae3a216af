import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import type { SearchedLayer } from "../../../algorithms/laboratory.js";
import type { Network } from "../../../algorithms/network.js";
import { findNode, isLayer, layerWork } from "../../network/index.js";

/** Every layer of a quantized network and the sites that decide its bits. */
export function searchedLayers(
  network: Network,
  sites: readonly QuantizerSite[],
): readonly SearchedLayer[] {
  const work = new Map(layerWork(network, sites).map((one) => [one.layer, one]));
  return network.nodes.filter(isLayer).flatMap((node) => {
    const known = work.get(node.name);
    const isQuantized = findNode(network, node.input).op === "quantize";
    return known === undefined
      ? []
      : [
          {
            ...{ node, work: known, weights: `${node.name}/kernel` },
            input: isQuantized ? node.input : undefined,
          },
        ];
  });
}

/** The sites of all layers but the first and the last, which keep their bits, in the order of layers. */
export function searchedSites(
  layers: readonly SearchedLayer[],
  sites: readonly QuantizerSite[],
  activations: boolean,
): readonly QuantizerSite[] {
  const idsOf = ({ weights, input }: SearchedLayer) =>
    input === undefined || !activations ? [weights] : [weights, input];
  const edges = new Set([layers[0], layers.at(-1)].flatMap((layer) => (layer ? idsOf(layer) : [])));
  const ids = new Set(layers.slice(1, -1).flatMap(idsOf));
  const byId = new Map(sites.map((site) => [site.id, site]));
  return [...ids].flatMap((id) => (edges.has(id) ? [] : (byId.get(id) ?? [])));
}
