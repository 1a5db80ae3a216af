import type { Algorithm } from "./algorithm.js";
import { CHANNEL_DEVIATIONS, channelSearch } from "./nce.js";

/** The control of channel expansion: the same search, in which nothing grows. */
export const tas = {
  name: "tas",
  title: "TAS, quantized",
  ...channelSearch(Infinity),
  source: {
    title: "Network Pruning via Transformable Architecture Search (Dong, Yang, NeurIPS 2019)",
    url: "https://arxiv.org/abs/1905.09717",
  },
  deviations: [
    "Depth is not searched, and nothing is distilled from the wide network: it is the control of neural channel expansion, and but for the expansion the same.",
    "The network is quantized while its channels are searched; TAS searches in float.",
    ...CHANNEL_DEVIATIONS,
  ],
} as const satisfies Algorithm;
