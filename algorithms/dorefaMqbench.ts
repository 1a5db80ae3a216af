import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { normalizedTanh, transformedWeight, unitRange } from "./dorefa.js";

/** DoReFa as MQBench has it: the squashed weight keeps the size 1. */
export const dorefaMqbench = {
  name: "dorefaMqbench",
  title: "DoReFa (as in MQBench)",
  version: 1,
  source: MQBENCH,
  deviations: [
    "Differs from DoReFa here: squashed weights are not rescaled, so that every layer's output grows or shrinks with its largest weight; only a batch norm behind the convolution absorbs that.",
    "Gradients are not quantized; weights lie on the backend's integer grid.",
  ],
  weight: transformedWeight(normalizedTanh),
  activation: unitRange,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
