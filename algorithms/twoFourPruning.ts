import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { lsq } from "./lsq.js";
import { masked, twoOfFour } from "./pruning.js";

/** Two of every four weights, chosen once in the float network; LSQ trains them. */
export const twoFourPruning = {
  name: "twoFourPruning",
  title: "2:4 pruning",
  family: "pruning",
  version: 1,
  source: {
    title: "Accelerating Sparse Deep Neural Networks (Mishra et al., 2021)",
    url: "https://arxiv.org/abs/2104.08378",
  },
  deviations: [
    "Weights are quantized by LSQ, whose deviations hold here, from the first step on; the paper trains the pruned float network first.",
    "Masks are chosen in the kernel as it is quantized, with the batch norm that was folded into it.",
    "Layers whose input channels are no multiple of four stay whole, as depthwise ones do. First and last layer are pruned where they can be.",
  ],
  weight: masked(lsq.weight, twoOfFour),
  activation: lsq.activation,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
