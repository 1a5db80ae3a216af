import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_TENSOR } from "./scheme.js";

/** AMD's Vitis AI for its DPU: symmetric per tensor, powers of two, activations rounded its own way. */
export const vitis = {
  name: "vitis",
  title: "Vitis AI",
  hardware: "AMD Xilinx DPU",
  version: 1,
  weights: { ...SYMMETRIC_PER_TENSOR, scaleForm: "powerOfTwo" },
  activations: { ...SYMMETRIC_PER_TENSOR, scaleForm: "powerOfTwo", rounding: "dpu" },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "everyOperator" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "shift",
    rounding: "dpu",
    source: "AMD Vitis AI: scales are powers of two; rounding as for its activations",
  },
  provenance: {
    "activations.rounding": "negative ties go towards positive infinity, others to even",
  },
  notes: [
    "Biases are whole steps of the accumulator, as on other backends; the toolkit's 8-bit biases are defined but disabled.",
  ],
} as const satisfies BackendProfile;
