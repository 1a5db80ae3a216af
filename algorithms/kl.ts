import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { klObserver, minMaxObserver } from "./observers/index.js";

/** Activations by entropy calibration, weights by their extremes. */
export const kl = {
  name: "kl",
  title: "KL divergence (PTQ)",
  version: 1,
  source: {
    title: "8-bit Inference with TensorRT (Migacz, GTC 2017)",
    url: "https://www.cse.iitd.ac.in/~rijurekha/course/tensorrt.pdf",
  },
  deviations: [
    "Both distributions share their bins, so that the divergence is always finite; MQBench's is NaN for Gaussian tensors.",
    "Affine grids shrink both ends of the range alike.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(klObserver),
  phases: [],
} as const satisfies Algorithm;
