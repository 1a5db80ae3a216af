import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { klObserver, minMaxObserver } from "./observers/index.js";

/** Activations by entropy calibration, weights by their extremes. */
export const kl = {
  name: "kl",
  title: "KL divergence (PTQ)",
  version: 2,
  source: {
    title:
      "8-bit Inference with TensorRT (Migacz, GTC 2017), as NVIDIA's pytorch-quantization has it",
    url: "https://github.com/NVIDIA/TensorRT/blob/1637a26ebea458f810ec219cdcdaaac17603d9f9/tools/pytorch-quantization/pytorch_quantization/calib/histogram.py",
  },
  deviations: [
    "As in NVIDIA's code, and not on the slides, the bin of 0 is taken to hold as much as its neighbour.",
    "The 2,048 bins reach to the largest magnitude of all calibration batches; the code's have the width that the first batch gives, and become more.",
    "Affine ranges, which the code does not know, are cut off at the threshold on both sides, with half of the levels counted on each.",
    "A symmetric signed range ends half a step beyond the largest integer, as for all algorithms; NVIDIA's ends on it.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(klObserver),
  phases: [],
} as const satisfies Algorithm;
