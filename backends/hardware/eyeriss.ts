import {
  FLOAT_BITS,
  operationsOf,
  operatorOf,
  weightsOf,
  type HardwareModel,
  type LayerWork,
} from "./hardware.js";
import { FLOAT, INTEGER, MEMORY } from "./units.js";

/** Picojoules of one product, shift or difference, and of adding it up. */
function perOperation(work: LayerWork): number {
  const { weightBits, activationBits } = work;
  const isFloat = Math.max(weightBits, activationBits) === FLOAT_BITS;
  switch (operatorOf(work)) {
    case "convolution":
      return isFloat
        ? FLOAT.product + FLOAT.sum
        : (INTEGER.product * weightBits * activationBits) / 64 + INTEGER.sum;
    case "shift":
      return (INTEGER.shift * activationBits) / 8 + INTEGER.sum;
    case "adder":
      return isFloat
        ? FLOAT.difference + FLOAT.sum
        : (INTEGER.difference * Math.max(weightBits, activationBits)) / 8 + INTEGER.sum;
  }
}

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
    "unit energies are published; that a product's energy falls with both widths, and that each value passes the buffer once, is assumed, as that a shift's falls with the width of what is shifted and a difference's with the wider one",
  unsupported: (work) =>
    operatorOf(work) === "shift" && work.activationBits === FLOAT_BITS
      ? "floats are not shifted"
      : undefined,
  cost(work) {
    const { inputValues, outputChannels, outputPixels, weightBits, activationBits } = work;
    const weightBytes = (weightsOf(work) * weightBits) / 8;
    const activationBytes = ((inputValues + outputChannels * outputPixels) * activationBits) / 8;
    return {
      picojoules:
        operationsOf(work) * perOperation(work) +
        weightBytes * MEMORY.dram +
        (weightBytes + activationBytes) * MEMORY.buffer,
    };
  },
};
