import type { Algorithm } from "./algorithm.js";
import { agentEpisodes, haq } from "./haq.js";
import type { Found, Laboratory, RandomNumbers } from "./laboratory.js";
import type { Network } from "./network.js";
import { atWidth } from "./search/runtimeGrid.js";
import { lloyd, spreadCentroids } from "./search/clusters.js";
import {
  clusteredWeight,
  clusterValues,
  FINAL_ITERATIONS,
  followWeights,
  trainsAlone,
} from "./search/clusteredWeight.js";
import { nameAt } from "./search/siteValues.js";

/** Lloyd's iterations for each policy that is tried. */
const SEARCH_ITERATIONS = 3;

const clustersOf =
  (iterations: number) => (weights: Float32Array, bits: number, random: RandomNumbers) => ({
    ...lloyd(weights, spreadCentroids(weights, 2 ** bits, random), iterations),
    trainsAlone: trainsAlone(bits),
  });

/** The agent decides bits of weights; what it found is clustered anew, and longer. */
async function searchClusters(laboratory: Laboratory): Promise<Found> {
  const { parameters, random, sites } = laboratory;
  const { policy } = await agentEpisodes(laboratory, (previous) => [previous]);
  const clustered = sites.flatMap((site) => {
    const weights = parameters[site.id];
    if (site.role !== "weight" || weights === undefined) return [];
    const bits = policy[site.id] ?? site.scheme.bitWidth;
    const clusters = clustersOf(FINAL_ITERATIONS)(
      weights.data,
      bits,
      random(`final clusters of ${site.id}`),
    );
    return Object.entries(clusterValues(clusters, atWidth(site, bits), weights)).map(
      ([name, value]) => [nameAt(site, name), value] as const,
    );
  });
  return { policy, tensors: Object.fromEntries(clustered) };
}

/** Clusters are those of the weights that train, which a folded batch norm would change. */
function needsOwnWeights(network: Network = { nodes: [] }): string | undefined {
  return network.nodes.some((node) => node.op === "conv2d" && node.foldedBatchNorm)
    ? "weights are clustered as they train, and folding batch norm into them makes others of them"
    : undefined;
}

/** HAQ for the size of models: bits of weights, which share values in clusters instead of lying on a grid. */
export const haqKMeans = {
  ...haq,
  name: "haqKMeans",
  title: "HAQ (k-means)",
  version: 1,
  deviations: [
    haq.deviations[0],
    "Policies are fine-tuned for the matrix's few steps instead of an epoch, in clusters that stay.",
    haq.deviations[2],
    "Bits are those of the places in a layer's table, from 1 on; tables themselves, of 2^bits numbers a layer, are not counted, as in the code. The budget is what the matrix's bits of weights take; the code takes a part of 32 bits.",
    "States have the nine features of the code's size mode, of which the last are the bits of the action before. The following state is stored with each transition; transitions keep the action from before the budget was enforced, as in the code.",
    "Clusters start by k-means++ and have 3 of Lloyd's iterations for each policy that is tried, 50 at the end. Random search in its place starts the final ones at quantiles.",
    "Layers of more than 6 bits train freely, as in the code; there they stay so, here they are clustered again, since what is deployed must have the bits that it says: before a policy is judged, and before the last step of the final training.",
    "In the final training the means of clusters are taken before each step, so that the last one changes none. First and last layer have 8 bits. Activations are those of HAQ with a grid, at the matrix's bits.",
  ],
  weight: clusteredWeight,
  phases: [{ name: "train", share: 1, trains: ["weights", "quantizers"], adapts: followWeights }],
  unsupported: ({ role }, network) => (role === "weight" ? needsOwnWeights(network) : undefined),
  search: {
    budget: { unit: "size" },
    candidates: [1, 2, 3, 4, 5, 6, 7, 8],
    activations: false,
    grids: haq.search.grids,
    clusters: clustersOf(SEARCH_ITERATIONS),
    run: searchClusters,
  },
} as const satisfies Algorithm;
