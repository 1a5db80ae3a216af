import { z } from "zod";
import { canonicalHash } from "./canonicalHash.js";
import { countBits, decodeCorrect } from "./correctImages.js";
import { networkCostSchema } from "./costSchema.js";
import { deploymentSchema } from "./deploymentSchema.js";
import { deviceAccuracy } from "./device.js";
import { fraction } from "./fraction.js";
import { agreementSchema, runtimeResultSchema } from "./runtimeSchema.js";
import { searchSchema } from "./searchSchema.js";
import { inspectionSchema, siteSchema } from "./siteSchema.js";
import { sparsitySchema } from "./sparsitySchema.js";
import { variantSchema } from "./variantSchema.js";
export { type Variant, variantSchema } from "./variantSchema.js";

const count = z.number().int().nonnegative();
/** Becomes part of file names, and is shown everywhere. */
const name = z
  .string()
  .max(200)
  .regex(/^[^\p{Cc}\p{Bidi_Control}/\\]+$/u, "has a character that names may not have");
const versioned = z.strictObject({ name, version: z.union([z.number(), z.string()]) });

const schedule = z.strictObject({
  epochs: z.number().positive().describe("visits of each training image; fractions are allowed"),
  learningRate: z.number().positive().describe("peak, after warm-up and before the cosine to 0"),
});

export const pretrainSchema = z
  .union([schedule, z.literal("stored")])
  .describe("float training, or stored: the float networks that come with the project");

export const distillationSchema = z
  .strictObject({
    weight: z.number().positive().max(1).describe("of the float network; labels have the rest"),
    temperature: z.number().positive(),
  })
  .describe("quantized training follows the float network, too");

export const hyperparametersSchema = z.strictObject({
  batchSize: z.number().int().min(2),
  momentum: z.number().min(0).max(0.999),
  weightDecay: z.number().min(0),
  quantizerWeightDecay: z
    .number()
    .min(0)
    .optional()
    .describe("on scales, bounds, ...; else weightDecay"),
  augmentation: z.strictObject({
    shift: count,
    flip: z.boolean(),
    randomCrop: z.boolean().optional(),
  }),
  labelSmoothing: z.number().min(0).max(0.5).optional(),
  pretrain: pretrainSchema,
  distillation: distillationSchema.optional(),
  calibrationBatches: z.number().int().min(1),
  quantizedTraining: schedule,
  fineTuning: z
    .strictObject({ batchNorm: z.enum(["frozen", "learned"]) })
    .optional()
    .describe("of networks that came trained; set by what the matrix says of the network"),
  reconstruction: z
    .strictObject({
      images: z.number().int().min(2),
      batchSize: z.number().int().min(1),
      steps: z.number().int().min(1),
      learningRate: z.number().positive(),
    })
    .optional()
    .describe("of AdaRound, BRECQ and QDrop"),
  search: z
    .strictObject({
      visits: z.number().int().min(1).describe("images through the network; thrice with gradients"),
      heldOut: z.number().int().min(2).describe("training images that policies are judged by"),
      fineTuning: z.strictObject({ steps: count, learningRate: z.number().positive() }),
    })
    .optional()
    .describe("of algorithms that search bits"),
  trainImages: z.number().int().positive().optional(),
  testImages: z.number().int().positive().optional(),
});

/** Everything that decides a cell's numbers. Its hash is the cell's id. */
export const cellConfigSchema = z.strictObject({
  model: z.strictObject({
    name,
    version: z.number(),
    width: z.number().int().positive(),
    /** Of a network that a user brought; the run keeps it under this name. */
    checksum: z.hash("sha256").optional(),
    /** SHA-256 of the stored float network that the cell starts from. */
    checkpoint: z.hash("sha256").optional(),
  }),
  dataset: z.strictObject({ name, checksum: z.string() }),
  algorithm: versioned.extend({
    /** Hash of what it computes; cells of earlier versions lack it. */
    computes: z.string().optional(),
  }),
  backend: versioned,
  bits: z.strictObject({ weights: z.number().int(), activations: z.number().int() }),
  variant: variantSchema.optional(),
  seed: z.number().int(),
  hyperparameters: hyperparametersSchema,
  engine: versioned.extend({
    /** How the engine turns steps into graphs, where it has several ways. */
    lowering: z.string().optional(),
  }),
  /** Version of the pipeline's own arithmetic. */
  numerics: z.number(),
});
export type CellConfig = z.infer<typeof cellConfigSchema>;

const latencySchema = z.strictObject({
  medianMs: z.number().positive(),
  /** Median absolute deviation. */
  madMs: z.number().nonnegative(),
  /** 5, 25, 50, 75 and 95 % of the samples are at or below these. */
  quantilesMs: z.array(z.number().positive()).length(5),
  samples: z.number().int().positive(),
});
export type Latency = z.infer<typeof latencySchema>;

/** A tensor that stays in float, and why. */
const unquantizedSchema = z.strictObject({ tensor: z.string(), reason: z.string() });

const operatorsSchema = z.record(
  z.string(),
  z.strictObject({ count, microseconds: z.number().nonnegative() }),
);
export type Operators = z.infer<typeof operatorsSchema>;

const measuredRuntimeSchema = z.strictObject({
  /** On the test set, in batches. */
  imagesPerSecond: z.number().positive(),
  /** What the runtime, the model and its work added to an empty process, at most. */
  peakBytes: count,
  /** Of one image. */
  latency: latencySchema.optional(),
});
export type MeasuredRuntime = z.infer<typeof measuredRuntimeSchema>;

/** Depends on the machine and the moment; never compared between runs. */
const measuredSchema = z.strictObject({
  latency: z.strictObject({ float: latencySchema, quantized: latencySchema }),
  /** Of the graphs that the runtime made of both networks: how many there are, and their time. */
  operators: z.strictObject({ float: operatorsSchema, quantized: operatorsSchema }),
  /** By runtime. */
  runtimes: z.record(z.string(), measuredRuntimeSchema),
  /** Seconds by stage; a stage that was found finished took none. */
  seconds: z.record(z.string(), z.number().nonnegative()),
});

const common = { id: z.string(), config: cellConfigSchema };

/** Which test images are classified right, as correctImages.ts has it. */
const correctImagesSchema = z.strictObject({
  /** On what deviceRuntime names. */
  device: z.string(),
  /** By the float network; absent where its checkpoint is older. */
  float: z.string().optional(),
});

const completedSchema = z.strictObject({
  ...common,
  state: z.literal("completed"),
  accuracy: z.strictObject({ float: fraction, simulated: fraction, deployed: fraction }),
  /** Of networks that came trained: what training made of the calibrated network. */
  fineTuning: z
    .strictObject({
      /** Accuracy on the test set after calibration, before training. */
      calibrated: fraction,
      /** The same after training. */
      trained: fraction,
      /** Which was kept: the one that is better on training images. */
      kept: z.enum(["calibrated", "trained"]),
    })
    .optional(),
  /** Simulated against deployed, over the test set. */
  agreement: agreementSchema,
  /** By runtime; onnxruntime, whose accuracy is the deployed one, is the first. */
  runtimes: z.record(z.string(), runtimeResultSchema),
  /** Of the first runtime; absent in results of earlier versions. */
  deployment: deploymentSchema.optional(),
  testImages: count,
  /** Absent in results of earlier versions, which can be compared by their seeds only. */
  correctImages: correctImagesSchema.optional(),
  /** Of the data set. */
  classes: count,
  /** Loss of each step of quantized training or reconstruction; empty where there is none. */
  losses: z.array(z.number()),
  /** Share of the images of each training step that were classified right; empty without training. */
  batchAccuracies: z.array(fraction),
  /** SHA-256 over all trained tensors. */
  weightHash: z.string(),
  size: z.strictObject({
    /** Bytes of the exported files. */
    floatFileBytes: count,
    quantizedFileBytes: count,
    /** Weights at their bit width, without scales and biases. */
    weightBytes: z.number().nonnegative(),
    /** The same where some are in a compressed format: all bytes, and how many weights they are. */
    stored: z
      .strictObject({ format: z.string(), bytes: z.number().nonnegative(), weights: count })
      .optional(),
  }),
  cost: z.strictObject({ float: networkCostSchema, quantized: networkCostSchema }),
  /** What zeros among the weights are worth; absent in results of earlier versions. */
  sparsity: sparsitySchema.optional(),
  sites: z.array(siteSchema),
  /** Output channels of each convolution, where the algorithm's search chose them. */
  filters: z
    .array(
      z.strictObject({
        layer: z.string(),
        /** Of the model. */
        given: z.number().int().positive(),
        found: z.number().int().positive(),
      }),
    )
    .optional(),
  /** What each layer became, where the algorithm's search chose operators. */
  operators: z
    .array(
      z.strictObject({ layer: z.string(), operator: z.enum(["convolution", "shift", "adder"]) }),
    )
    .optional(),
  inspection: inspectionSchema,
  unquantized: z.array(unquantizedSchema),
  /** Of algorithms that search bits. */
  search: searchSchema.optional(),
  measured: measuredSchema,
});
export type CompletedCell = z.infer<typeof completedSchema>;

export const cellResultSchema = z
  .discriminatedUnion("state", [
    completedSchema.superRefine(checkCorrectImages),
    z.strictObject({
      ...common,
      state: z.literal("notConverged"),
      reason: z.string(),
      floatAccuracy: fraction,
      losses: z.array(z.number().nullable()),
    }),
    z.strictObject({ ...common, state: z.literal("unsupported"), reason: z.string() }),
    z.strictObject({ ...common, state: z.literal("failed"), reason: z.string() }),
  ])
  .refine(({ id, config }) => id === canonicalHash(config), {
    path: ["id"],
    message: "is not the hash of the configuration",
  });
export type CellResult = z.infer<typeof cellResultSchema>;

/** The images that are right must be as many as the accuracy says. */
function checkCorrectImages(cell: CompletedCell, context: z.RefinementCtx): void {
  const { correctImages, testImages, accuracy } = cell;
  if (correctImages === undefined) return;
  const expected = { device: deviceAccuracy(cell), float: accuracy.float };
  for (const name of ["device", "float"] as const) {
    const text = correctImages[name];
    if (text === undefined) continue;
    const problem = problemOf(text, testImages, expected[name]);
    if (problem !== undefined)
      context.addIssue({ code: "custom", path: ["correctImages", name], message: problem });
  }
}

function problemOf(text: string, images: number, accuracy: number): string | undefined {
  try {
    const right = countBits(decodeCorrect(text, images));
    return right / images === accuracy
      ? undefined
      : `${String(right)} of ${String(images)} images are right, but the accuracy is ${String(accuracy)}`;
  } catch (error) {
    return (error as RangeError).message;
  }
}

export const environmentSchema = z.strictObject({
  quantbench: z.string(),
  node: z.string(),
  platform: z.string(),
  cpu: z.string(),
  cpuFeatures: z.array(z.string()),
  cores: z.number().int(),
  memoryBytes: z.number(),
  engines: z.record(z.string(), z.string()),
  /** What the default engine's graphs are made of. */
  lowering: z.string().optional(),
  /** What onnxruntime's 8-bit kernels do on this processor; absent in runs of earlier versions. */
  saturation: z
    .strictObject({
      /** Whether they saturate, as shipped. */
      saturates: z.boolean(),
      preciseIsRight: z.boolean(),
      /** Said by QUANTBENCH_SATURATION instead of found out. */
      forced: z.boolean(),
    })
    .optional(),
  /** The source tree, where it is a git checkout. */
  commit: z.string().nullable(),
});
export type Environment = z.infer<typeof environmentSchema>;

/** What a run directory was made from. */
export const runSchema = z.strictObject({
  name: z.string(),
  title: z.string(),
  /** The command that reproduces the run. */
  command: z.string(),
  deviations: z.record(z.string(), z.array(z.string())),
  /** What each algorithm belongs to, by its name; absent in runs of earlier versions. */
  families: z.record(z.string(), z.string()).optional(),
  notes: z.record(z.string(), z.array(z.string())),
  /** Ids of all cells of the matrix, in the order of tables. */
  cells: z.array(z.string()),
  /** A user's own images: where they lay and how they were prepared. */
  ownData: z.strictObject({ path: z.string(), preprocessing: z.unknown().optional() }).optional(),
  /** Where the cells of a merged run were computed, by their ids. */
  parts: z
    .array(z.strictObject({ environment: environmentSchema, cells: z.array(z.string()) }))
    .optional(),
});
export type Run = z.infer<typeof runSchema>;
