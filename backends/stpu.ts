import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_TENSOR } from "./scheme.js";

/** SenseTime's STPU: symmetric, per tensor, without the lowest integer. */
export const stpu = {
  name: "stpu",
  title: "STPU",
  hardware: "SenseTime STPU",
  version: 1,
  weights: { ...SYMMETRIC_PER_TENSOR, narrowRange: true },
  activations: { ...SYMMETRIC_PER_TENSOR, narrowRange: true },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "assumed: the vendor does not publish its kernels",
  },
  runtimes: ["litert"],
  notes: [],
} as const satisfies BackendProfile;
