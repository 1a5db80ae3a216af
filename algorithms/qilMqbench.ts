import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { intervalQuantizer } from "./qil.js";

/** MQBench's largest integer is the signed one, also where a tensor cannot be negative. */
const interval = intervalQuantizer({
  learnsGamma: false,
  limited: true,
  countsBatch: true,
  gradientScale: ({ scheme }, x) => 1 / Math.sqrt(x.size * (2 ** (scheme.bitWidth - 1) - 1)),
});

/** QIL as MQBench has it. */
export const qilMqbench = {
  name: "qilMqbench",
  title: "QIL (as in MQBench)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "Differs from QIL as published: no gamma; gradients of center and distance are divided by the root of all values of the batch times the largest signed integer; neither exceeds half of the largest magnitude.",
    "That magnitude is the calibrated one for activations, whose interval is fixed when deployed; MQBench takes that of each batch. It also writes the limited value back, here the learned one stays.",
    "Values outside the interval are clamped for unsigned activations too. MQBench's code leaves that out and so uses more levels than its bits allow.",
    "At 8 bits a min-max grid takes its place (as in MQBench, which takes the extremes of each batch).",
  ],
  weight: interval,
  activation: interval,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
