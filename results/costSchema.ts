import { z } from "zod";

const count = z.number().int().nonnegative();

const modelledCostSchema = z.union([
  z.strictObject({ unsupported: z.string() }),
  z.strictObject({
    cycles: z.number().nonnegative().optional(),
    milliseconds: z.number().nonnegative().optional(),
    microjoules: z.number().nonnegative().optional(),
    /** Where layers share hardware to which they are mapped by a search. */
    mapping: z
      .strictObject({
        /** Of one image that no other one follows or precedes. */
        millisecondsOfOneImage: z.number().nonnegative(),
        microjoulesWithoutSums: z.number().nonnegative(),
        /** Microjoules times milliseconds: as found, and with the same mapping for every layer. */
        energyDelay: z.number().nonnegative(),
        fixedEnergyDelay: z.number().nonnegative(),
      })
      .optional(),
  }),
]);

/** Of one image. */
export const networkCostSchema = z.strictObject({
  /** Multiplications. */
  macs: count,
  /** Shifts by weights that are powers of two, and differences from weights; absent where there are none. */
  shifts: count.optional(),
  differences: count.optional(),
  /** Products weighted with both operands' bits; 32 for float. */
  bitOps: z.number().nonnegative(),
  /** Activations that are needed at the same time, at most. */
  activationBytes: z.number().nonnegative(),
  /** By hardware model. */
  hardware: z.record(z.string(), modelledCostSchema),
});
export type NetworkCost = z.infer<typeof networkCostSchema>;
