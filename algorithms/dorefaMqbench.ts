import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm, type Quantizer } from "./algorithm.js";
import { fakeQuantize, rangeOf } from "./affine.js";
import { normalizedTanh, transformedWeight, unitRange } from "./dorefa.js";

/** MQBench leaves clipping to PyTorch's fake quantization, which looks at the rounded value. */
const activation: Quantizer = {
  ...unitRange,
  passes: "rounded",
  fakeQuantize(x, values, site) {
    const { scale, zeroPoint } = unitRange.quantParams(values, site);
    const zero = site.scheme.symmetric ? undefined : zeroPoint;
    return fakeQuantize(x, scale, zero, { ...rangeOf(site), passes: "rounded" });
  },
};

/** DoReFa as MQBench has it: the squashed weight keeps the size 1. */
export const dorefaMqbench = {
  name: "dorefaMqbench",
  title: "DoReFa (as in MQBench)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "Differs from DoReFa here: squashed weights are not rescaled, so that every layer's output grows or shrinks with its largest weight; only a batch norm behind the convolution absorbs that.",
    "Differs from DoReFa here: weights and activations that round beyond the last integer get no gradient, as in PyTorch's fake quantization; on signed symmetric grids that is the largest weight.",
    "Activations at 8 bits keep their calibrated range; MQBench takes the extremes of each batch.",
    "Gradients are not quantized; weights lie on the backend's integer grid.",
  ],
  weight: transformedWeight(normalizedTanh, "rounded"),
  activation,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
