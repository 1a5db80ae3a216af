import { z } from "zod";

const initialization = z.strictObject({ weights: z.string(), activations: z.string() });

const share = z
  .number()
  .positive()
  .optional()
  .describe("of what the matrix's bit widths cost; all of it if left out");
const budgetUnitSchema = z.union([
  z.strictObject({
    unit: z.enum(["multiplications", "operations", "parameters", "size", "memory", "bitOps"]),
    share,
  }),
  z.strictObject({ unit: z.enum(["cycles", "picojoules"]), on: z.string(), share }),
  z.strictObject({ unit: z.literal("microseconds"), on: z.literal("onnxruntime"), share }),
]);

/** What a study varies beside algorithm, backend and bits; absent where the defaults hold. */
export const variantSchema = z.strictObject({
  batchNorm: z
    .union([z.literal(-1), z.literal(0), z.literal(1), z.literal(2), z.literal(3), z.literal(4)])
    .optional()
    .describe("how training treats batch norm: MQBench's strategies -1 to 4"),
  graph: z
    .union([z.literal(1), z.literal(2), z.literal(3)])
    .optional()
    .describe("which tensors are quantized: MQBench's graphs 1 to 3"),
  initialization: initialization
    .optional()
    .describe("observers that give learned grids their first values"),
  budget: budgetUnitSchema
    .optional()
    .describe("what a search keeps to what the matrix's bit widths cost; its own if left out"),
  search: z
    .literal("random")
    .optional()
    .describe("random search in place of the algorithm's own, with as many image visits"),
  density: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe("share of weights that pruning leaves; the algorithm's own if left out"),
  operators: z
    .enum(["convolution", "shift", "adder", "random"])
    .optional()
    .describe("what all layers are in place of what a search of operators finds: its controls"),
});
export type Variant = z.infer<typeof variantSchema>;
