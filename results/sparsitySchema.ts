import { z } from "zod";

const count = z.number().int().nonnegative();

/** How many weights of a network are not 0, and what that saves. */
export const sparsitySchema = z.strictObject({
  weights: count,
  nonzero: count,
  /** Multiplications of an image with weights that are not 0. */
  effectiveMacs: z.number().nonnegative(),
  /** All weights in the format that takes least, without scales and biases. */
  storedBytes: count,
  format: z.enum(["dense", "bitmap", "2:4"]),
});
export type Sparsity = z.infer<typeof sparsitySchema>;
