import { z } from "zod";
import { fraction } from "./fraction.js";

/** Bits of a site are one digit: 32, not quantized, is "w". */
export const BITS_RADIX = 36;

const count = z.number().int().nonnegative();

/** What may not cost more than the matrix's bit widths do, or than a share of that, and how much that is. */
const budgetSchema = z.strictObject({
  unit: z.enum([
    ...(["multiplications", "operations", "parameters", "size", "memory"] as const),
    ...(["bitOps", "cycles", "picojoules", "microseconds"] as const),
  ]),
  /** The hardware model, or the runtime that was measured. */
  on: z.string().optional(),
  share: z.number().positive().optional(),
  allowed: z.number().nonnegative(),
});

/** What an algorithm's search of bits or of filters did. */
export const searchSchema = z.strictObject({
  budget: budgetSchema,
  /** Images through the network; three for each where gradients came back. */
  visits: z.strictObject({ allowed: count, used: count }),
  /** Of what was found, in the unit of the budget. */
  cost: z.number().nonnegative(),
  /** Other units that it kept to, and what it found costs in them. */
  within: z.array(budgetSchema.extend({ cost: z.number().nonnegative() })).optional(),
  /** Whose filters the lines of the trace list, in this order; absent where none were searched. */
  convolutions: z.array(z.string()).optional(),
  /** Whose operators the lines of the trace list, in this order; absent where none were searched. */
  layers: z.array(z.string()).optional(),
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
      /** Output channels of each convolution; null where the line says nothing. */
      filters: z.array(z.number().int().positive().nullable()).optional(),
      /** A letter for each layer: a convolution, shift or adder layer. */
      operators: z
        .string()
        .regex(/^[csa]*$/)
        .optional(),
    }),
  ),
});
export type SearchResult = z.infer<typeof searchSchema>;
