import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver, movingAverageObserver } from "./observers/index.js";

/** Activations by a moving average of each batch's extremes (0.9 of the past), weights by their own. */
export const movingAverage = {
  name: "movingAverage",
  title: "Moving average (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: ["Weights do not change between batches, so their extremes are taken as they are."],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(movingAverageObserver),
  phases: [],
} as const satisfies Algorithm;
