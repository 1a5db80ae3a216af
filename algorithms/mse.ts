import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { mseObserver } from "./observers/index.js";

/** The range with the least mean squared error, searched for each tensor or channel. */
export const mse = {
  name: "mse",
  title: "MSE (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "One search over the values of all batches, where the toolkit searches each batch and combines the ranges.",
    "Tensors with many values are searched on an evenly spread part of them.",
  ],
  weight: fixedGrid(mseObserver),
  activation: fixedGrid(mseObserver),
  phases: [],
} as const satisfies Algorithm;
