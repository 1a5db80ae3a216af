import type { Algorithm } from "./algorithm.js";
import { lsqPlus } from "./lsqPlus.js";
import { softRounding } from "./softRounding.js";

/** BRECQ as MQBench has it, without the Fisher weighting. */
export const brecqMqbench = {
  name: "brecqMqbench",
  title: "BRECQ (as in MQBench)",
  version: 2,
  source: {
    title:
      "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction (Li et al., ICLR 2021)",
    url: "https://arxiv.org/abs/2102.05426",
  },
  deviations: [
    "Differs from BRECQ as published: every output counts the same.",
    "Steps, images and learning rates are the matrix's and far fewer than the paper's; activations' scales learn at a tenth of the roundings' rate times their own size, where the toolkit has 4e-5 for all.",
    "The images of each step are drawn anew; the toolkit draws one of the batches that it has stored.",
  ],
  weight: softRounding,
  activation: lsqPlus.activation,
  phases: [],
  reconstruction: { unit: "block", fisher: false, drop: 0, mixInput: false },
} as const satisfies Algorithm;
