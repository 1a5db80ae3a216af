import type { Algorithm } from "./algorithm.js";
import { lsqPlus } from "./lsqPlus.js";
import { softRounding } from "./softRounding.js";

/** Learns for each weight whether to round up or down, layer after layer. */
export const adaRound = {
  name: "adaRound",
  title: "AdaRound",
  version: 2,
  source: {
    title: "Up or Down? Adaptive Rounding for Post-Training Quantization (Nagel et al., ICML 2020)",
    url: "https://arxiv.org/abs/2004.10568",
  },
  deviations: [
    "Activations are quantized while rounding is learned, as in MQBench and QDrop, so that the three compare.",
    "Steps, images and learning rates are the matrix's and far fewer than the paper's; activations' scales learn at a tenth of the roundings' rate times their own size, where the code of BRECQ and QDrop has 4e-5 for all.",
    "Scales of tensors that only an add reads belong to no layer and stay as calibrated.",
    "A layer is reconstructed behind its batch norm and activation (section 3.4 does so for the activation).",
  ],
  weight: softRounding,
  activation: lsqPlus.activation,
  phases: [],
  reconstruction: { unit: "layer", fisher: false, drop: 0, mixInput: false },
} as const satisfies Algorithm;
