import {
  FLOAT_BITS,
  operationsOf,
  operatorOf,
  type HardwareModel,
  type LayerWork,
} from "./hardware.js";

const REGISTER_BITS = 128;
/** CPUs have no narrower products. */
const NARROWEST = 8;

/**
 * Instructions of a vector of operations: multiplying and adding up is one, as the absolute difference of
 * integers is (SABA); a shift by another number in each lane (SSHL) is not added up, nor are floats' differences.
 */
function instructions(work: LayerWork): number {
  switch (operatorOf(work)) {
    case "convolution":
      return 1;
    case "shift":
      return 2;
    case "adder":
      return Math.max(work.weightBits, work.activationBits) === FLOAT_BITS ? 2 : 1;
  }
}

/** A CPU with 128-bit vectors: 8 bits are four times as fast as float, fewer bits gain nothing. */
export const cpuSimd: HardwareModel = {
  name: "cpuSimd",
  title: "CPU with 128-bit vectors",
  source: {
    title: "Resource-Efficient Neural Networks for Embedded Systems (Roth et al., 2020)",
    url: "https://arxiv.org/abs/2001.03048",
  },
  provenance:
    "a bound derived from the vector width: one vector of products each cycle, memory and all else free; shifts and differences by the instructions that Arm's vectors have",
  unsupported: (work) =>
    operatorOf(work) === "shift" && work.activationBits === FLOAT_BITS
      ? "floats are not shifted"
      : undefined,
  cost: (work) => ({
    cycles:
      (instructions(work) *
        operationsOf(work) *
        Math.max(work.weightBits, work.activationBits, NARROWEST)) /
      REGISTER_BITS,
  }),
};
