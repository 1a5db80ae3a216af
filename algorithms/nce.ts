import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { lsq } from "./lsq.js";
import type { Network } from "./network.js";
import { searchChannels } from "./search/channelSearch.js";

/** Why channels cannot be searched: each of their choices has a batch norm of its own. */
function withoutBatchNorm({ nodes }: Network): string | undefined {
  const normalized = new Set(
    nodes.flatMap((node) => (node.op === "batchNorm" ? [node.input] : [])),
  );
  const without = nodes.find((node) => node.op === "conv2d" && !normalized.has(node.name));
  return without === undefined
    ? undefined
    : `widths have a batch norm each, and there is none behind ${without.name}`;
}

/** All of both searches but their names, and whether networks grow. */
export const channelSearch = (growsAbove: number) =>
  ({
    version: 2,
    family: "structure",
    weight: lsq.weight,
    activation: lsq.activation,
    phases: TRAIN_ALL,
    search: {
      budget: { unit: "multiplications" },
      within: [{ unit: "parameters" }],
      keepsTo: ["multiplications", "parameters"],
      candidates: [],
      activations: false,
      run: (laboratory) => searchChannels(laboratory, { quantizers: lsq, growsAbove }),
    },
    unsupported: (_, network) => network && withoutBatchNorm(network),
  }) as const satisfies Omit<Algorithm, "name" | "title" | "source" | "deviations">;

/** Where both searches depart from what they follow. */
export const CHANNEL_DEVIATIONS = [
  "The quantizers are LSQ's: their steps are parameters, which new filters do not change, and they have a level for 0, which weights of new channels start near.",
  "Channels that an addition joins are one choice; the code adds the narrower tensor to the first channels of the wider one.",
  "Each width has a scale and a shift of batch norm of its own; running statistics are shared, since what a channel is before batch norm does not depend on how many there are behind it.",
  "The search has the image visits that the matrix allows, in 15 equal rounds of which the first 3 train weights alone. It starts from the float network; weights have a rate that falls from five times the matrix's to 0, preferences Adam with a rate by which they can go 5 at most, since there are hundreds of steps and not the code's 200,000. The temperature falls from 5 to 0.5.",
  "Weights learn on training images, preferences on those that the search holds out: half of all where the matrix says so.",
  "Limits are hard: where the preferred widths cost too much at the end, the choice whose next narrower one is missed least is taken back, again and again.",
  "Only widths are found: the network that has them starts from the float network, as that of uniform width does, and is trained as LSQ with the matrix's training of quantized networks. The search's own weights, which serve all widths at once, are not what a single one is best trained from.",
];

/** Neural Channel Expansion: channels by gradient descent at the bits of the matrix, growing where they are wanted. */
export const nce = {
  name: "nce",
  title: "Neural Channel Expansion",
  ...channelSearch(0.3),
  source: {
    title:
      "Neural Channel Expansion: network structure for low-bit quantization (Park et al., 2022)",
    url: "https://arxiv.org/abs/2212.10878",
  },
  deviations: [
    "Neither the paper's text nor code were to be had: the objective, the mixture and the rule of expansion are from its abstract and a reader's notes, the search is that of TAS's code, on which it builds.",
    "A layer whose preference for its widest choice is over 0.3 gets one that is wider by an eighth of its channels, at most once a round and up to twice as many; the paper's numbers are unknown.",
    ...CHANNEL_DEVIATIONS,
  ],
} as const satisfies Algorithm;
