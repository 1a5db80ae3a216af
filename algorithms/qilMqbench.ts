import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { rangeOf } from "./affine.js";
import { intervalQuantizer } from "./qil.js";

const interval = intervalQuantizer({
  learnsGamma: false,
  gradientScale: (site) =>
    1 / Math.sqrt(site.shape.reduce((a, b) => a * b, 1) * rangeOf(site).quantMax),
});

/** QIL as MQBench has it. */
export const qilMqbench = {
  name: "qilMqbench",
  title: "QIL (as in MQBench)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "Differs from QIL as published: no gamma; gradients of center and distance are scaled as LSQ's.",
    "Values outside the interval are clamped for unsigned activations too. MQBench's code leaves that out and so uses more levels than its bits allow.",
  ],
  weight: interval,
  activation: interval,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
