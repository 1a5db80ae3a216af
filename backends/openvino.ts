import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_CHANNEL, SYMMETRIC_PER_TENSOR } from "./scheme.js";

/** Intel's OpenVINO: symmetric, 7 of 8 bits for weights against overflow in AVX2, activations unsigned behind a ReLU. */
export const openvino = {
  name: "openvino",
  title: "OpenVINO",
  hardware: "Intel CPU and GPU",
  version: 1,
  weights: SYMMETRIC_PER_CHANNEL,
  activations: { ...SYMMETRIC_PER_TENSOR, signed: "adaptive" },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "none" },
  batchNorm: 4,
  bitWidths: { weights: { min: 2, max: 8, used: 7 }, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "oneDNN int8 inference: scales are float32, rounding by the processor to even",
  },
  provenance: {
    "bitWidths.weights":
      "[-64, 63] in an 8-bit integer, so that sums of two products fit 16 bits on AVX2",
    "activations.signed": "[0, 255] behind a ReLU, through pooling too",
  },
  notes: [
    "The network's input and every tensor that a convolution, dense layer, add or pool reads is quantized; the output is not.",
  ],
} as const satisfies BackendProfile;
