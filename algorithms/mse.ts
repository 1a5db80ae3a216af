import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { mseObserver } from "./observers/index.js";

/** The range with the least mean squared error, searched for each tensor or channel. */
export const mse = {
  name: "mse",
  title: "MSE (PTQ)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "One search over the values of all batches, where the toolkit searches each batch and combines the ranges.",
    "Of tensors with more than 65,536 values so many of each batch are kept, spread evenly over images, places and channels.",
    "The toolkit stops at the best of 95 ranges that are shrunk on both sides alike. From there ends of affine ranges move apart, closer scales are tried, and the best scale for the integers is taken.",
  ],
  weight: fixedGrid(mseObserver),
  activation: fixedGrid(mseObserver),
  phases: [],
} as const satisfies Algorithm;
