import type { Algorithm } from "./algorithm.js";
import { lsqPlus } from "./lsqPlus.js";
import { softRounding } from "./softRounding.js";

/** BRECQ's blocks, with activations left unquantized at random. */
export const qdrop = {
  name: "qdrop",
  title: "QDrop",
  version: 2,
  source: {
    title:
      "QDrop: Randomly Dropping Quantization for Extremely Low-bit Post-Training Quantization (Wei et al., ICLR 2022)",
    url: "https://arxiv.org/abs/2203.05740",
  },
  deviations: [
    "Steps, images and learning rates are the matrix's and far fewer than the paper's; activations' scales learn at a tenth of the roundings' rate times their own size, where the authors' code has 4e-5 for all.",
    "Grids of weights, and first grids of activations, have the least squared error; the authors' code takes errors to the power of 2.4.",
    "The images of a step are different ones; the authors' code may draw the same one twice.",
    "Which values stay unquantized is drawn for every element and step, in the block and at its input, as in the paper.",
  ],
  weight: softRounding,
  activation: lsqPlus.activation,
  phases: [],
  reconstruction: { unit: "block", fisher: false, drop: 0.5, mixInput: true },
} as const satisfies Algorithm;
