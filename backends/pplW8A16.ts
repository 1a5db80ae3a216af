import { MQBENCH_TOOLKIT, ONLY_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR } from "./scheme.js";

/** OpenPPL with 8-bit weights and 16-bit activations: affine, per tensor. */
export const pplW8A16 = {
  name: "pplW8A16",
  title: "PPL W8A16",
  hardware: "OpenPPL",
  version: 1,
  weights: AFFINE_PER_TENSOR,
  activations: AFFINE_PER_TENSOR,
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: ONLY_8_BITS, activations: { min: 16, max: 16 } },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  notes: ["Asks for bits: { weights: 8, activations: 16 }."],
} as const satisfies BackendProfile;
