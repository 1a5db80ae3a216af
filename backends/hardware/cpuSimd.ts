import { macsOf, type HardwareModel } from "./hardware.js";

const REGISTER_BITS = 128;
/** CPUs have no narrower products. */
const NARROWEST = 8;

/** A CPU with 128-bit vectors: 8 bits are four times as fast as float, fewer bits gain nothing. */
export const cpuSimd: HardwareModel = {
  name: "cpuSimd",
  title: "CPU with 128-bit vectors",
  source: {
    title: "Resource-Efficient Neural Networks for Embedded Systems (Roth et al., 2020)",
    url: "https://arxiv.org/abs/2001.03048",
  },
  provenance:
    "a bound derived from the vector width: one vector of products each cycle, memory and all else free",
  cost: (work) => ({
    cycles:
      (macsOf(work) * Math.max(work.weightBits, work.activationBits, NARROWEST)) / REGISTER_BITS,
  }),
};
