import type { Algorithm } from "./algorithm.js";
import { channelwise } from "./channelwise.js";

/** Searches the bits of every output channel against energy on the MPIC core. */
export const channelwiseEnergy = {
  ...channelwise("energy"),
  name: "channelwiseEnergy",
  title: "Channel-wise bits (MPIC energy)",
} as const satisfies Algorithm;
