import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { lsq } from "./lsq.js";
import { shiftWeights } from "./shiftWeights.js";

/** DeepShift-Q: weights are signed powers of two, so that products are shifts. */
export const deepShift = {
  name: "deepShift",
  title: "DeepShift-Q",
  version: 1,
  source: {
    title:
      "DeepShift: Towards Multiplication-Less Neural Networks (Elhoushi et al., 2019), as in NASA (Shi et al., ICCAD 2022) and its code",
    url: "https://arxiv.org/abs/1905.13298",
  },
  deviations: [
    "Runs on the academic setting alone: levels are powers of two.",
    "Weights of b bits have a sign and exponents from 1 - 2^(b-1) to 0. A weight of exactly 0 counts as positive; the code would give 0.",
    "Weights beyond the largest or below the smallest power keep their gradients and their values; the code clamps what it trains, each time that it reads it.",
    "First and last layer have 8 bits on a min-max grid, as NASA's stem and classifier are no shift layers.",
    "Activations are LSQ's, at the bits of the matrix, or float; the code rounds them to fractions of 16 bits.",
    "The variant that trains exponents and signs themselves (DeepShift-PS) is not here.",
  ],
  weight: shiftWeights,
  activation: lsq.activation,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
