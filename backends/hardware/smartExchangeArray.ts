import { macsOf, multipliesUpTo, weightsOf, type HardwareModel } from "./hardware.js";

/** Picojoules of 8 bits at 28 nm. */
const DRAM = 100;
/** Buffers have 1.36 to 2.45 by their size: the small one of weights, the large one of activations. */
const WEIGHT_BUFFER = 1.36;
const ACTIVATION_BUFFER = 2.45;
const MULTIPLY_ACCUMULATE = 0.143;
const SHIFT_ADD = 0.019;

/** Rebuilds decomposed weights beside its multipliers, so that only powers of two and bases come from DRAM. */
export const smartExchangeArray: HardwareModel = {
  name: "smartExchangeArray",
  title: "SmartExchange accelerator, energy (28 nm)",
  source: {
    title:
      "SmartExchange: Trading Higher-cost Memory Storage/Access for Lower-cost Computation (Zhao et al., ISCA 2020)",
    url: "https://arxiv.org/abs/2005.03403",
  },
  provenance:
    "unit energies are from memory of the paper's table; that each value passes DRAM (weights) and its buffer once, and that rows of zeros save their products but no reading of activations, is assumed; the energy of training is not modelled",
  unsupported: multipliesUpTo(8),
  cost(work) {
    const { inputValues, outputChannels, outputPixels, weightBits, activationBits, stored } = work;
    const weightBytes = stored?.bytes ?? (weightsOf(work) * weightBits) / 8;
    const activationBytes = ((inputValues + outputChannels * outputPixels) * activationBits) / 8;
    return {
      picojoules:
        weightBytes * (DRAM + WEIGHT_BUFFER) +
        activationBytes * ACTIVATION_BUFFER +
        macsOf(work) * (1 - (stored?.skipped ?? 0)) * MULTIPLY_ACCUMULATE +
        (stored?.shiftAdds ?? 0) * SHIFT_ADD,
    };
  },
};
