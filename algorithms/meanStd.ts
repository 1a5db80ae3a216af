import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { meanStdObserver } from "./observers/index.js";

/** Ranges of three standard deviations about the mean, LSQ+'s first scales: what MQBench calls MeanStd. */
export const meanStd = {
  name: "meanStd",
  title: "LSQ+ start (PTQ)",
  version: 2,
  source: MQBENCH,
  deviations: ["The rule of the LSQ+ paper; the toolkit's scale is half of it."],
  weight: fixedGrid(meanStdObserver),
  activation: fixedGrid(meanStdObserver),
  phases: [],
} as const satisfies Algorithm;
