import { GRAPH_RULES, MQBENCH, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_CHANNEL, AFFINE_PER_TENSOR } from "./scheme.js";

/** Huawei's Ascend Computing Language: affine, weights per channel, adds in float (graph 1). */
export const acl = {
  name: "acl",
  title: "Huawei Ascend (ACL)",
  hardware: "Ascend 310 / Atlas 300 ASIC",
  version: 1,
  weights: AFFINE_PER_CHANNEL,
  activations: AFFINE_PER_TENSOR,
  graph: GRAPH_RULES[1],
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH,
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    source: "assumed: the vendor documents a dequantization scale per channel, not its rounding",
  },
  notes: [
    "Weights are affine as in the paper's table and code; its appendix says symmetric.",
    "Integers from 0; the paper's code counts from -2^(b-1), which only shifts the zero point.",
  ],
} as const satisfies BackendProfile;
