import { z } from "zod";

const count = z.number().int().nonnegative();

/** What computed a cell's deployed accuracy, and what moved it. */
export const deploymentSchema = z.strictObject({
  /** "onnxruntime 1.30.0" */
  runtime: z.string(),
  /** Architecture and the extensions that decide which kernels run: "x64 avx2 fma". */
  instructionSet: z.string(),
  /** As everybody gets them, or those that compute the same on every processor. */
  kernels: z.enum(["shipped", "precise"]),
  /** Whether 8-bit kernels as shipped saturate on that processor. */
  saturates: z.boolean(),
  /**
   * Test images with another prediction than the simulation's although all sums are right, which
   * leaves ties in rounding; and those that the kernels as shipped change against precise ones.
   * Absent where precise kernels failed.
   */
  changed: z.strictObject({ byRounding: count, byKernels: count }).optional(),
});
export type Deployment = z.infer<typeof deploymentSchema>;
