import { z } from "zod";
import { fraction } from "./fraction.js";

const count = z.number().int().nonnegative();

/** How like the simulation a runtime is. */
export const agreementSchema = z.strictObject({
  /** Share of images with the same prediction. */
  share: fraction,
  largestDifference: z.number().nonnegative(),
});

/** What a program that executes networks made of one. */
export const runtimeResultSchema = z.union([
  z.strictObject({ unsupported: z.string() }),
  z.strictObject({ failed: z.string() }),
  z.strictObject({
    accuracy: fraction,
    /** With the simulation, over the test set. */
    agreement: agreementSchema,
    /** Share of logits that are those of onnxruntime to the bit. */
    equalLogits: fraction,
    modelBytes: count,
    /** Of its own form of the model, where it executes what is written there. */
    operators: z.record(z.string(), count).optional(),
  }),
]);
export type RuntimeResult = z.infer<typeof runtimeResultSchema>;
