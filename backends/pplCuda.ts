import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_CHANNEL, AFFINE_PER_TENSOR } from "./scheme.js";

/** OpenPPL on CUDA: affine, weights per channel. */
export const pplCuda = {
  name: "pplCuda",
  title: "PPL CUDA",
  hardware: "NVIDIA GPU",
  version: 1,
  weights: AFFINE_PER_CHANNEL,
  activations: AFFINE_PER_TENSOR,
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "assumed: OpenPPL computes scales in float32 on GPUs",
  },
  notes: ["Scheme of the toolkit, which then exports only the largest magnitude of each tensor."],
} as const satisfies BackendProfile;
