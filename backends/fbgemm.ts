import { GRAPH_RULES, MQBENCH, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_CHANNEL, AFFINE_PER_TENSOR } from "./scheme.js";

/** Facebook's FBGEMM on x86: affine, weights per channel, every addend quantized (graph 3). */
export const fbgemm = {
  name: "fbgemm",
  title: "FBGEMM",
  hardware: "x86 CPU",
  version: 1,
  weights: AFFINE_PER_CHANNEL,
  activations: AFFINE_PER_TENSOR,
  graph: GRAPH_RULES[3],
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "FBGEMM, requantization by a float multiplier and nearbyint",
  },
  notes: [
    "Integers from 0; the paper's code counts from -2^(b-1), which only shifts the zero point.",
  ],
} as const satisfies BackendProfile;
