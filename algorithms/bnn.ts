import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { scaleShape } from "./affine.js";
import { binary, signActivation, unlessBits } from "./fewLevels.js";
import { withoutRelus } from "./signedNetwork.js";

/** Binarized Neural Networks: signs of weights and of activations. */
export const bnn = {
  name: "bnn",
  title: "BNN",
  family: "binary and ternary",
  version: 1,
  source: {
    title: "Binarized Neural Networks (Hubara et al., NeurIPS 2016)",
    url: "https://arxiv.org/abs/1602.02830",
  },
  deviations: [
    "Runs on the academic setting where activations have 1 bit: two levels about 0 are no grid that has a 0. Weights of -1 and 1 need a batch norm behind the convolution.",
    "First and last layer have 8 bits: calibrated once, by the squared error (weights) and by min-max (activations). The paper's first layer has real inputs, its last one is binary.",
    "Starts from the float checkpoint without the ReLUs in front of convolutions, where activations are signs; the paper trains from scratch.",
    "Weights beyond -1 and 1 get no gradient and are not clipped to them; the optimizer is that of all others, not a shift-based one.",
  ],
  weight: binary((_, site) => tf.ones(scaleShape(site))),
  activation: signActivation,
  phases: TRAIN_ALL,
  rewrite: withoutRelus,
  unsupported: (site) => unlessBits(site, { weight: [1, 8], activation: [1, 8] }),
} as const satisfies Algorithm;
