import { z } from "zod";
import { fraction } from "./fraction.js";

/** Bits of a site are one digit: 32, not quantized, is "w". */
export const BITS_RADIX = 36;

const count = z.number().int().nonnegative();

/** What may not cost more than the matrix's bit widths do, and how much that is. */
const budgetSchema = z.strictObject({
  unit: z.enum(["size", "memory", "bitOps", "cycles", "picojoules"]),
  /** The hardware model. */
  on: z.string().optional(),
  allowed: z.number().nonnegative(),
});

/** What an algorithm's search of bits did. */
export const searchSchema = z.strictObject({
  budget: budgetSchema,
  /** Images through the network; three for each where gradients came back. */
  visits: z.strictObject({ allowed: count, used: count }),
  /** Of what was found, in the unit of the budget. */
  cost: z.number().nonnegative(),
  /** Whose bits the policies of the trace list, in this order. */
  sites: z.array(z.string()),
  /** Every policy that was tried, in order. */
  trace: z.array(
    z.strictObject({
      /** Up to here. */
      visits: count,
      cost: z.number().nonnegative(),
      /** On training images that were held out. */
      accuracy: fraction,
      loss: z.number().optional(),
      /** A digit for each site, with radix 36; "." where the policy says nothing. */
      bits: z.string(),
    }),
  ),
});
export type SearchResult = z.infer<typeof searchSchema>;
