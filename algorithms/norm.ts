import { MQBENCH } from "../backends/backend.js";
import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { normObserver } from "./observers/index.js";

/** LSQ's first scales, without training: what MQBench calls Norm. */
export const norm = {
  name: "norm",
  title: "LSQ start (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: ["Affine grids put the least value on the lowest integer, as in the later toolkit."],
  weight: fixedGrid(normObserver),
  activation: fixedGrid(normObserver),
  phases: [],
} as const satisfies Algorithm;
