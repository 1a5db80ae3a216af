import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver } from "./observers/index.js";

/** Evens out the ranges of neighbouring layers' channels, then corrects biases. */
export const equalization = {
  name: "equalization",
  title: "Cross-layer equalization (PTQ)",
  version: 1,
  source: {
    title:
      "Data-Free Quantization Through Weight Equalization and Bias Correction (Nagel et al., ICCV 2019)",
    url: "https://arxiv.org/abs/1906.04721",
  },
  deviations: [
    "ReLU6 becomes ReLU before, as in the paper; absorbing high biases is left out.",
    "Needs folded batch norm: elsewhere the network stays as it is, and biases alone are corrected.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(minMaxObserver),
  phases: [],
  rewrite: (network) => ({
    nodes: network.nodes.map((node) => (node.op === "relu6" ? { ...node, op: "relu" } : node)),
  }),
  corrections: { equalize: true, correctBias: true },
} as const satisfies Algorithm;
