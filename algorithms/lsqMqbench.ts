import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { magnitude } from "./gradients.js";
import { learnedStep } from "./lsq.js";
import { gridsFrom, normObserver } from "./observers/index.js";

const quantizer = learnedStep({
  observe: normObserver.observe,
  initialize: (batches, site) => gridsFrom(normObserver, batches, site),
  read: (scale) => magnitude(scale),
  passes: "rounded",
  countsBatch: true,
});

/** LSQ as MQBench has it. */
export const lsqMqbench = {
  name: "lsqMqbench",
  title: "LSQ (as in MQBench)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "Differs from LSQ as published: the scale's gradient is divided by the root of all values of the batch, not of one sample's features.",
    "Differs from LSQ as published: values that round to an integer of the grid count as inside of it, also those up to half a step beyond its last one; a negative scale is used by its magnitude. MQBench writes the magnitude back, here the sign stays in the learned value.",
    "Differs from LSQ here: affine grids start from LSQ's scale with the least value on the lowest integer, which may clip the other side.",
    "Power-of-two scales are rounded again at every use, as in the paper's code; in the later toolkit they drift off the grid.",
  ],
  weight: quantizer,
  activation: quantizer,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
