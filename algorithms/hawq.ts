import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { lsq } from "./lsq.js";

/** Bits by the curvature of the loss: flat layers get few, sharp ones many. */
export const hawq = {
  name: "hawq",
  title: "HAWQ",
  version: 2,
  source: {
    title:
      "HAWQ-V2: Hessian Aware trace-Weighted Quantization of Neural Networks (Dong et al., NeurIPS 2020); HAWQ-V3 (Yao et al., ICML 2021) for the integer program",
    url: "https://arxiv.org/abs/1911.03852",
  },
  deviations: [
    "Bits of weights alone are searched among 2, 3, 4, 6 and 8, within the size that the matrix's bit width would have; first and last layer keep theirs.",
    "Hessian products are finite differences of gradients (Hutchinson's method), on the calibration batches and along 8 random directions; the authors' PyHessian takes up to 100, until the mean changes by less than a thousandth.",
    "Sensitivities are those of the weights before batch norm is folded.",
    "The integer program is solved exactly by dynamic programming.",
    "Errors of weights are those of the grid between their extremes, as in the authors' code, though training starts from LSQ's grids; it is trained as LSQ.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  bitAllocation: { candidates: [2, 3, 4, 6, 8], budget: "size" },
} as const satisfies Algorithm;
