import { GRAPH_RULES, MQBENCH, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR } from "./scheme.js";

/** Qualcomm SNPE: affine and per-tensor, weights too; every addend is quantized (graph 3). */
export const snpe = {
  name: "snpe",
  title: "SNPE",
  hardware: "Snapdragon DSP",
  version: 1,
  weights: AFFINE_PER_TENSOR,
  activations: AFFINE_PER_TENSOR,
  graph: GRAPH_RULES[3],
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH,
  arithmetic: {
    multiplier: "fixedPoint",
    rounding: "halfAwayFromZero",
    source: "assumed: the vendor does not publish its kernels",
  },
  notes: [
    "Integers from 0 as in the MQBench toolkit and in SNPE's encodings; the paper's code counts from -2^(b-1), which only shifts the zero point.",
  ],
} as const satisfies BackendProfile;
