import { MQBENCH, type BackendProfile } from "./backend.js";

/** Qualcomm SNPE: affine and per-tensor, weights too; every addend is quantized (graph 3). */
export const snpe = {
  name: "snpe",
  title: "SNPE",
  hardware: "Snapdragon DSP",
  version: 1,
  weights: {
    symmetric: false,
    signed: false,
    narrowRange: false,
    granularity: "perTensor",
    scaleForm: "fp32",
  },
  activations: {
    symmetric: false,
    signed: false,
    narrowRange: false,
    granularity: "perTensor",
    scaleForm: "fp32",
  },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: false },
  foldBatchNorm: true,
  edgeBitWidth: 8,
  source: MQBENCH,
  notes: [
    "Integers from 0 as in the MQBench toolkit and in SNPE's encodings; the paper's code counts from -2^(b-1), which only shifts the zero point.",
  ],
} as const satisfies BackendProfile;
