import type { Algorithm } from "./algorithm.js";
import { channelwise } from "./channelwise.js";

/** Searches the bits of every output channel against weight bytes. */
export const channelwiseSize = {
  ...channelwise("size"),
  name: "channelwiseSize",
  title: "Channel-wise bits (size)",
} as const satisfies Algorithm;
