import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { mseObserver } from "./observers/index.js";

/** Takes the mean error that quantization makes in each output channel out of the bias. */
export const biasCorrection = {
  name: "biasCorrection",
  title: "MSE + bias correction (PTQ)",
  version: 2,
  source: {
    title:
      "Data-Free Quantization Through Weight Equalization and Bias Correction (Nagel et al., ICCV 2019), section 4.2",
    url: "https://arxiv.org/abs/1906.04721",
  },
  deviations: [
    "Expected errors are measured on calibration images (the paper's appendix D), layer after layer.",
  ],
  weight: fixedGrid(mseObserver),
  activation: fixedGrid(mseObserver),
  phases: [],
  corrections: { correctBias: true },
} as const satisfies Algorithm;
