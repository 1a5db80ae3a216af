import type { Algorithm } from "./algorithm.js";
import { lsqPlus } from "./lsqPlus.js";
import { softRounding } from "./softRounding.js";

/** BRECQ's blocks, with activations left unquantized at random. */
export const qdrop = {
  name: "qdrop",
  title: "QDrop",
  version: 1,
  source: {
    title:
      "QDrop: Randomly Dropping Quantization for Extremely Low-bit Post-Training Quantization (Wei et al., ICLR 2022)",
    url: "https://arxiv.org/abs/2203.05740",
  },
  deviations: [
    "Steps, images and learning rates are the matrix's and far fewer than the paper's; activations' scales learn at a tenth of the roundings' rate.",
    "Which values stay unquantized is drawn for every element and step, in the block and at its input, as in the paper.",
  ],
  weight: softRounding,
  activation: lsqPlus.activation,
  phases: [],
  reconstruction: { unit: "block", fisher: false, drop: 0.5, mixInput: true },
} as const satisfies Algorithm;
