import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { binary, meanMagnitude, signActivation, unlessBits } from "./fewLevels.js";
import { withoutRelus } from "./signedNetwork.js";

/** XNOR-Net: signs of activations, and of weights times their mean magnitude. */
export const xnorNet = {
  name: "xnorNet",
  title: "XNOR-Net",
  family: "binary and ternary",
  version: 1,
  source: {
    title: "XNOR-Net (Rastegari et al., ECCV 2016)",
    url: "https://arxiv.org/abs/1603.05279",
  },
  deviations: [
    "Runs on the academic setting where activations have 1 bit: two levels about 0 are no grid that has a 0. With activations in float (32 bits) it is the paper's Binary-Weight-Network.",
    "One scale for each filter only where the backend has scales per channel; the academic setting has one for each layer. Behind batch norm both are the same network.",
    "Activations have no scale of their own (the paper's K), as in later work.",
    "Gradients pass for weights and activations from -1 to 1, and none goes through the scale.",
    "First and last layer have 8 bits: calibrated once, by the squared error (weights) and by min-max (activations). The paper's are not quantized.",
    "Starts from the float checkpoint without the ReLUs in front of convolutions, where activations are signs; the paper trains from scratch.",
  ],
  weight: binary(meanMagnitude),
  activation: signActivation,
  phases: TRAIN_ALL,
  rewrite: withoutRelus,
  unsupported: (site) => unlessBits(site, { weight: [1, 8], activation: [1, 8] }),
} as const satisfies Algorithm;
