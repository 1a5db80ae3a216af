import type { Source } from "../backend.js";
import { macsOf, multipliesUpTo, type HardwareModel } from "./hardware.js";

/** Bit widths that MPIC's dot-product unit has. */
export const MPIC_BITS = [2, 4, 8] as const;
type MpicBits = (typeof MPIC_BITS)[number];

/**
 * Multiply-accumulates per cycle of the MPIC core, a RISC-V with mixed-precision dot products, by
 * bits of activations (first) and weights.
 */
export const MPIC_MACS_PER_CYCLE: Readonly<Record<MpicBits, Readonly<Record<MpicBits, number>>>> = {
  2: { 2: 6.5, 4: 4.0, 8: 2.2 },
  4: { 2: 3.9, 4: 3.5, 8: 2.1 },
  8: { 2: 2.5, 4: 2.3, 8: 2.1 },
};

const MPIC_HZ = 250e6;
/** Joule per cycle: the mean of four measured powers (5.3825 mW) at 250 MHz. */
export const MPIC_JOULE_PER_CYCLE = 5.3825e-3 / MPIC_HZ;

export const MPIC_SOURCE: Source = {
  title:
    "Channel-wise Mixed-precision Assignment for DNN Inference on Constrained Edge Nodes (Risso et al., IGSC 2022), with the MPIC core of Ottavi et al., 2020",
  url: "https://arxiv.org/abs/2206.08852",
};

/** The narrowest width of the core that holds so many bits; 0 bits (a pruned channel) cost nothing. */
export function mpicBits(bits: number): MpicBits {
  const width = MPIC_BITS.find((candidate) => candidate >= bits);
  if (width === undefined) throw new RangeError(`MPIC has no ${String(bits)}-bit operands`);
  return width;
}

/** Cycles of so many multiply-accumulates. */
export function mpicCycles(macs: number, activationBits: number, weightBits: number): number {
  return macs / MPIC_MACS_PER_CYCLE[mpicBits(activationBits)][mpicBits(weightBits)];
}

/** A microcontroller core with dot products of 2, 4 and 8 bits in any combination. */
export const mpic: HardwareModel = {
  name: "mpic",
  title: "MPIC RISC-V core (250 MHz)",
  source: MPIC_SOURCE,
  provenance: "products per cycle and power as published; nothing but the products is counted",
  clockHz: MPIC_HZ,
  unsupported: multipliesUpTo(8),
  cost(work) {
    const cycles = mpicCycles(macsOf(work), work.activationBits, work.weightBits);
    return { cycles, picojoules: cycles * MPIC_JOULE_PER_CYCLE * 1e12 };
  },
};
