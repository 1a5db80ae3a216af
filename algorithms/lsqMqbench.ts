import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { learnedStep } from "./lsq.js";
import { gridsFrom, normObserver } from "./observers/index.js";

const quantizer = learnedStep({
  observe: normObserver.observe,
  initialize: (batches, site) => gridsFrom(normObserver, batches, site),
  valuesPerScale: (x, _, scales) => x.size / scales,
});

/** LSQ as MQBench has it. */
export const lsqMqbench = {
  name: "lsqMqbench",
  title: "LSQ (as in MQBench)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "Differs from LSQ as published: the scale's gradient is divided by the root of all values of the batch, not of one sample's features.",
    "Differs from LSQ here: affine grids start from LSQ's scale with the least value on the lowest integer, which may clip the other side.",
    "Power-of-two scales are rounded again at every use, as in the paper's code; in the later toolkit they drift off the grid.",
  ],
  weight: quantizer,
  activation: quantizer,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
