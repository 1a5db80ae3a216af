import { MQBENCH_TOOLKIT, UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR } from "./scheme.js";

/** OPEN AI LAB's Tengine with uint8: affine, per tensor, every output quantized, that of the network too. */
export const tengine = {
  name: "tengine",
  title: "Tengine",
  hardware: "ARM CPU and NPU",
  version: 1,
  weights: AFFINE_PER_TENSOR,
  activations: AFFINE_PER_TENSOR,
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  arithmetic: {
    multiplier: "float",
    rounding: "halfAwayFromZero",
    source: "Tengine, reference kernels for uint8: float multipliers and C's round",
  },
  provenance: {
    graph: "the toolkit's base rule, with the outputs of all operators and of the network",
  },
  notes: [],
} as const satisfies BackendProfile;
