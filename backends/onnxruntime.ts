import { UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR, SYMMETRIC_PER_CHANNEL } from "./scheme.js";

/**
 * onnxruntime on a CPU, the backend that runs here for real: affine uint8 activations, symmetric
 * int8 weights per output channel, residual adds and pooling in integers.
 */
export const onnxruntime = {
  name: "onnxruntime",
  title: "onnxruntime",
  hardware: "x86 and ARM CPU",
  version: 1,
  weights: SYMMETRIC_PER_CHANNEL,
  activations: AFFINE_PER_TENSOR,
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "none" },
  batchNorm: 4,
  bitWidths: {
    weights: { ...UP_TO_8_BITS, min: 1 },
    activations: { ...UP_TO_8_BITS, float: true },
  },
  edgeBitWidth: 8,
  source: {
    title: "onnxruntime documentation: Quantize ONNX models",
    url: "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html",
  },
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source:
      "onnxruntime, MLAS: requantization by a float multiplier, rounding by the processor to even",
  },
  runtimes: ["onnxruntimePrecise", "onnxruntimeReduced", "onnxruntimeWeb", "litert"],
  notes: [
    "On x86 without VNNI instructions, 8-bit weights can saturate the 16-bit sums of onnxruntime's kernels; it advises 7-bit weights or its precise kernels (session.x64quantprecision) there. Both are computed beside the default.",
  ],
} as const satisfies BackendProfile;
