import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver } from "./observers/index.js";

/** Post-training quantization by the extremes of weights and calibration activations: the baseline, without any training. */
export const minMax = {
  name: "minMax",
  title: "Min-max (PTQ)",
  version: 2,
  source: MQBENCH,
  deviations: [],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(minMaxObserver),
  phases: [],
} as const satisfies Algorithm;
