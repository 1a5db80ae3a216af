import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";

/** SenseTime's STPU: symmetric, per tensor, without the lowest integer. */
export const stpu = {
  name: "stpu",
  title: "STPU",
  hardware: "SenseTime STPU",
  version: 1,
  weights: {
    symmetric: true,
    signed: true,
    narrowRange: true,
    granularity: "perTensor",
    scaleForm: "fp32",
  },
  activations: {
    symmetric: true,
    signed: true,
    narrowRange: true,
    granularity: "perTensor",
    scaleForm: "fp32",
  },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  notes: [],
} as const satisfies BackendProfile;
