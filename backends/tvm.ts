import { GRAPH_RULES, MQBENCH, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_TENSOR } from "./scheme.js";

/** TVM on ARM: symmetric, per-tensor, scales are powers of two; every addend quantized (graph 3). */
export const tvm = {
  name: "tvm",
  title: "TVM",
  hardware: "ARM CPU",
  version: 1,
  weights: { ...SYMMETRIC_PER_TENSOR, scaleForm: "powerOfTwo" },
  activations: { ...SYMMETRIC_PER_TENSOR, scaleForm: "powerOfTwo" },
  graph: GRAPH_RULES[3],
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH,
  arithmetic: {
    multiplier: "shift",
    rounding: "halfUp",
    source: "Apache TVM, qnn.requantize: rounding UPWARD by default; scales here are powers of two",
  },
  notes: [
    "A scale s becomes 2^round(log2 s) whenever it is used, so that learned scales stay on the grid; in the MQBench toolkit they drift off it.",
  ],
} as const satisfies BackendProfile;
