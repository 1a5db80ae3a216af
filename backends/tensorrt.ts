import { MQBENCH, type BackendProfile } from "./backend.js";

/**
 * NVIDIA TensorRT: symmetric everywhere, activations signed even after ReLU, one addend of each
 * residual add stays in the convolution's accumulator (graph 2).
 */
export const tensorrt = {
  name: "tensorrt",
  title: "TensorRT",
  hardware: "NVIDIA GPU",
  version: 1,
  weights: {
    symmetric: true,
    signed: true,
    narrowRange: false,
    granularity: "perChannel",
    scaleForm: "fp32",
  },
  activations: {
    symmetric: true,
    signed: true,
    narrowRange: false,
    granularity: "perTensor",
    scaleForm: "fp32",
  },
  graph: { quantizers: "shared", addOperands: "allButOne", poolInputs: false },
  foldBatchNorm: true,
  edgeBitWidth: 8,
  source: MQBENCH,
  notes: ["Range [-128, 127] as in the paper; the later MQBench toolkit uses [-127, 127]."],
} as const satisfies BackendProfile;
