import type { Algorithm } from "./algorithm.js";
import { lsqPlus } from "./lsqPlus.js";
import { softRounding } from "./softRounding.js";

/** AdaRound's rounding, reconstructed by residual blocks and weighed by the loss's curvature. */
export const brecq = {
  name: "brecq",
  title: "BRECQ",
  version: 2,
  source: {
    title:
      "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction (Li et al., ICLR 2021)",
    url: "https://arxiv.org/abs/2102.05426",
  },
  deviations: [
    "Activations are quantized while rounding is learned, as in MQBench and QDrop, so that the three compare.",
    "Steps, images and learning rates are the matrix's and far fewer than the paper's; activations' scales learn at a tenth of the roundings' rate times their own size, where the authors' code has 4e-5 for all.",
    "Grids of weights, and first grids of activations, have the least squared error; the authors' code takes errors to the power of 2.4.",
    "A block without shortcut is up to three layers of a chain.",
    "The Fisher term is the squared gradient of the divergence from the float network's prediction, plus 1 as in the authors' code.",
  ],
  weight: softRounding,
  activation: lsqPlus.activation,
  phases: [],
  reconstruction: { unit: "block", fisher: true, drop: 0, mixInput: false },
} as const satisfies Algorithm;
