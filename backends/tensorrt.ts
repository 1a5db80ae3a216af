import { GRAPH_RULES, MQBENCH, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_CHANNEL, SYMMETRIC_PER_TENSOR } from "./scheme.js";

/**
 * NVIDIA TensorRT: symmetric everywhere, activations signed even after ReLU, one addend of each
 * residual add stays in the convolution's accumulator (graph 2).
 */
export const tensorrt = {
  name: "tensorrt",
  title: "TensorRT",
  hardware: "NVIDIA GPU",
  version: 1,
  weights: SYMMETRIC_PER_CHANNEL,
  activations: SYMMETRIC_PER_TENSOR,
  graph: GRAPH_RULES[2],
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "NVIDIA TensorRT documentation: scales are float32, rounding to nearest, ties to even",
  },
  notes: ["Range [-128, 127] as in the paper; the later MQBench toolkit uses [-127, 127]."],
} as const satisfies BackendProfile;
