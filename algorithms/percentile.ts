import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver, percentileObserver } from "./observers/index.js";

/** Activations between their quantiles 0.0001 and 0.9999, weights by their extremes. */
export const percentile = {
  name: "percentile",
  title: "Percentile (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "True quantiles of all calibration batches; MQBench takes the first batch or a histogram.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(percentileObserver),
  phases: [],
} as const satisfies Algorithm;
