import { FLOAT_BITS, macsOf, weightsOf, type HardwareModel } from "./hardware.js";

/** Picojoules at 45 nm: products, and adding them to a 32-bit sum. */
const PRODUCT_8_BITS = 0.2;
const INTEGER_SUM = 0.1;
const FLOAT_PRODUCT = 3.7;
const FLOAT_SUM = 0.9;
/** Picojoules per byte. */
const DRAM = 100;
const GLOBAL_BUFFER = 3;

/** Energy of an accelerator with Eyeriss's memories: weights come from DRAM, all else from the buffer. */
export const eyeriss: HardwareModel = {
  name: "eyeriss",
  title: "Eyeriss-style energy (45 nm)",
  source: {
    title:
      "Eyeriss (Chen et al., ISCA 2016) for the hierarchy; unit energies as in NASA (Shi et al., ICCAD 2022) and ShiftAddNet (You et al., 2020)",
    url: "https://arxiv.org/abs/2210.13361",
  },
  provenance:
    "unit energies are published; that a product's energy falls with both widths, and that each value passes the buffer once, is assumed",
  cost(work) {
    const { inputValues, outputChannels, outputPixels, weightBits, activationBits } = work;
    const float = Math.max(weightBits, activationBits) === FLOAT_BITS;
    const perMac = float
      ? FLOAT_PRODUCT + FLOAT_SUM
      : (PRODUCT_8_BITS * weightBits * activationBits) / 64 + INTEGER_SUM;
    const weightBytes = (weightsOf(work) * weightBits) / 8;
    const activationBytes = ((inputValues + outputChannels * outputPixels) * activationBits) / 8;
    return {
      picojoules:
        macsOf(work) * perMac +
        weightBytes * DRAM +
        (weightBytes + activationBytes) * GLOBAL_BUFFER,
    };
  },
};
