import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver, percentileObserver } from "./observers/index.js";

/** Activations between their quantiles 0.0001 and 0.9999, weights by their extremes. */
export const percentile = {
  name: "percentile",
  title: "Percentile (PTQ)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "True quantiles of all calibration batches, 0.9999 on each side; MQBench takes those of the first batch, or averages what histograms of magnitudes give for 0.99999.",
    "Of tensors with more than 65,536 values so many of each batch are kept, spread evenly over images, places and channels.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(percentileObserver),
  phases: [],
} as const satisfies Algorithm;
