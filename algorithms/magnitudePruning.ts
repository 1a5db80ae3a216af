import type { Algorithm } from "./algorithm.js";
import { lsq } from "./lsq.js";
import { gradualPruning, masked } from "./pruning.js";

/** Where a matrix names no other. */
const DENSITY = 0.5;

/** Gradual magnitude pruning: the smallest weights go while LSQ trains what stays. */
export const magnitudePruning = {
  name: "magnitudePruning",
  title: "Magnitude pruning",
  family: "pruning",
  version: 1,
  source: {
    title:
      "To prune, or not to prune: exploring the efficacy of pruning for model compression (Zhu & Gupta, 2017)",
    url: "https://arxiv.org/abs/1710.01878",
  },
  deviations: [
    "Half of the weights stay unless a variant says otherwise (density).",
    "Weights are quantized by LSQ, whose deviations hold here, after the masked ones were put on 0; the paper prunes float networks.",
    "One threshold for all layers; the paper gives each layer the same sparsity. Magnitudes are those before batch norm is folded.",
    "Masks follow the magnitudes at every step of the first half of the training and stay as they are in the second; the paper changes them every hundred steps or more. Until then masked weights learn on by straight-through gradients and may come back; the paper's do not.",
    "First and last layer are pruned like all others.",
  ],
  weight: masked(lsq.weight),
  activation: lsq.activation,
  phases: gradualPruning(DENSITY),
  atDensity: (density) => ({ phases: gradualPruning(density) }),
} as const satisfies Algorithm;
