import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { mseObserver } from "./observers/index.js";

/** Post-training quantization that measures batch norm's statistics again behind quantized tensors. */
export const batchNormRecalibration = {
  name: "batchNormRecalibration",
  title: "MSE + batch norm re-calibration (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "Statistics come from the calibration batches of the matrix; MQBench uses 4,096 images.",
  ],
  weight: fixedGrid(mseObserver),
  activation: fixedGrid(mseObserver),
  phases: [],
  corrections: { recalibrateBatchNorm: true },
} as const satisfies Algorithm;
