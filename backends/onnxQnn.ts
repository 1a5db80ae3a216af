import { MQBENCH_TOOLKIT, ONLY_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR } from "./scheme.js";

/** The toolkit's ONNX QLinear form for TVM: affine, per tensor, 8 bits only. */
export const onnxQnn = {
  name: "onnxQnn",
  title: "ONNX QNN (TVM)",
  hardware: "CPU and GPU through TVM",
  version: 1,
  weights: AFFINE_PER_TENSOR,
  activations: AFFINE_PER_TENSOR,
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: ONLY_8_BITS, activations: ONLY_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "fixedPoint",
    rounding: "halfUp",
    roundsAddends: true,
    source: "Apache TVM, qnn.requantize: 31-bit multipliers, rounding UPWARD by default",
  },
  notes: [
    "The toolkit leaves dense weights in float; here they are quantized, since QLinear operators need it.",
  ],
} as const satisfies BackendProfile;
