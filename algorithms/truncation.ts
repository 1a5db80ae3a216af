import type { Algorithm } from "./algorithm.js";
import { nested } from "./verticalLayering.js";

/** The control of Vertical Layering: an ordinary model of 8 bits, whose codes are cut off. */
export const truncation = {
  name: "truncation",
  title: "Truncated 8 bits",
  ...nested([]),
  deviations: [
    "A control: weights are trained at 8 bits alone, by LSQ with as many image visits as Vertical Layering has; lower widths drop the last bits of its codes. Steps are as much wider, and batch norm and activations those of 8 bits.",
    "Everything else is as in Vertical Layering, gradients of steps below 8 bits included, which nothing uses.",
  ],
} as const satisfies Algorithm;
