import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver } from "./observers/index.js";

/** Post-training quantization that measures batch norm's statistics again behind quantized tensors. */
export const batchNormRecalibration = {
  name: "batchNormRecalibration",
  title: "Min-max + batch norm re-calibration (PTQ)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "Ranges are the extremes, so that min-max without it shows what the statistics alone do.",
    "Statistics come from the calibration batches of the matrix; MQBench uses 4,096 images.",
  ],
  weight: fixedGrid(minMaxObserver),
  activation: fixedGrid(minMaxObserver),
  phases: [],
  corrections: { recalibrateBatchNorm: true },
} as const satisfies Algorithm;
