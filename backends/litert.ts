import { UP_TO_8_BITS, type BackendProfile } from "./backend.js";
import { AFFINE_PER_TENSOR, SYMMETRIC_PER_CHANNEL } from "./scheme.js";

/**
 * LiteRT, formerly TensorFlow Lite, which also runs here for real: affine int8 activations,
 * symmetric int8 weights per output channel, everything between image and logits in integers.
 */
export const litert = {
  name: "litert",
  title: "LiteRT (TensorFlow Lite)",
  hardware: "phones and microcontrollers",
  version: 2,
  weights: { ...SYMMETRIC_PER_CHANNEL, narrowRange: true },
  activations: { ...AFFINE_PER_TENSOR, signed: true },
  graph: { quantizers: "shared", addOperands: "all", poolInputs: true, outputs: "operators" },
  batchNorm: 4,
  bitWidths: { weights: UP_TO_8_BITS, activations: UP_TO_8_BITS },
  edgeBitWidth: 8,
  source: {
    title: "LiteRT 8-bit quantization specification",
    url: "https://ai.google.dev/edge/litert/models/quantization_spec",
  },
  arithmetic: {
    multiplier: "float",
    rounding: "halfToEven",
    addFraction: 20,
    source:
      "XNNPACK: fp32 requantization of layers and means, additions in fixed point; checked against LiteRT itself",
  },
  runtimes: ["litert"],
  notes: [
    "Below 8 bits activations stay int8 with bounds of their own.",
    "Additions round ties up, everything else to even: where scales are powers of two, every second sum may be a tie.",
  ],
} as const satisfies BackendProfile;
