import { MQBENCH_TOOLKIT, ONLY_8_BITS, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_TENSOR } from "./scheme.js";

/** HiSilicon's NNIE computes on 8-bit logarithmic codes: sign and 7 bits, 16 steps to the octave. */
export const nnie = {
  name: "nnie",
  title: "HiSilicon NNIE",
  hardware: "HiSilicon NNIE",
  version: 1,
  weights: { ...SYMMETRIC_PER_TENSOR, levels: "logarithmic" },
  activations: { ...SYMMETRIC_PER_TENSOR, levels: "logarithmic" },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "none" },
  batchNorm: 4,
  bitWidths: { weights: ONLY_8_BITS, activations: ONLY_8_BITS },
  edgeBitWidth: 8,
  source: MQBENCH_TOOLKIT,
  notes: [
    "Only an algorithm with logarithmic levels runs here; all others are unsupported.",
    "The toolkit skips grouped convolutions; here they are quantized like others.",
  ],
} as const satisfies BackendProfile;
