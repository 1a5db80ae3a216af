import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { LineCounter, parseDocument, type Document } from "yaml";
import { z } from "zod";
import {
  distillationSchema,
  hyperparametersSchema,
  pretrainSchema,
  variantSchema,
} from "../../results/schema.js";
import { algorithms } from "../../algorithms/index.js";
import { observers } from "../../algorithms/observers/index.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { hardwareModels } from "../../backends/hardware/index.js";
import { backends } from "../../backends/index.js";
import { ENGINE_NAMES } from "../../pipelines/engine/index.js";
import { MAX_BIT_WIDTH, MIN_BIT_WIDTH } from "../../backends/scheme.js";
import { datasets } from "../datasets/index.js";
import { lookup, unknownName } from "../lookup.js";
import { models } from "../models/index.js";
import { ownDataSchema } from "../inputs/index.js";

const bitWidth = z.union([
  z.number().int().min(MIN_BIT_WIDTH).max(MAX_BIT_WIDTH),
  z.literal(FLOAT_BITS),
]);
const names = z.union([z.literal("all"), z.array(z.string()).min(1)]);

const blockSchema = z.strictObject({
  algorithms: names.describe("names, or all"),
  backends: names.describe("names, or all"),
  bits: z
    .array(z.strictObject({ weights: bitWidth, activations: bitWidth }))
    .min(1)
    .describe(
      `bit widths of weights and activations, except for first and last layer; ${String(FLOAT_BITS)} for float`,
    ),
  variants: z
    .array(
      variantSchema.extend({
        quantizerWeightDecay: z.number().min(0).optional(),
        distillation: distillationSchema.optional(),
      }),
    )
    .min(1)
    .optional()
    .describe("what a study varies beside; each entry is a run of the block"),
  models: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("only these of the matrix's models; all of them if left out"),
});

const fineTuningSchema = z
  .strictObject({
    trainedAt: z.number().positive().optional().describe("peak rate of the network's own training"),
    learningRate: z.number().positive().optional().describe("else a hundredth of trainedAt"),
    epochs: z.number().positive().optional().describe("else quantizedTraining's"),
    batchNorm: z.enum(["frozen", "learned"]).optional().describe("frozen unless given"),
  })
  .describe("how quantized training treats a network that came trained");

/** Channels of a network's first layer: more than any published one has. */
const MAX_WIDTH = 4096;
const MAX_SEEDS = 1000;
const seedsSchema = z.number().int().min(1).max(MAX_SEEDS);
/** Planning takes a minute for so many, running them years. */
const MAX_CELLS = 200_000;

export const matrixSchema = z.strictObject({
  title: z.string().min(1),
  dataset: z.union([z.string(), ownDataSchema]).describe("a data set's name, or your own images"),
  dataDirectory: z.string().optional().describe("where the files of the data set lie"),
  engine: z
    .enum(ENGINE_NAMES)
    .optional()
    .describe("what trains, unless --engine names another; onnxruntime if left out"),
  models: z
    .array(
      z.union([
        z.strictObject({
          name: z.string(),
          width: z.number().int().positive().max(MAX_WIDTH).optional(),
          pretrain: pretrainSchema.optional().describe("where it differs from the others'"),
          seeds: seedsSchema.optional().describe("where they are fewer than the others'"),
        }),
        z.strictObject({
          file: z.string(),
          output: z.string().optional().describe("the class scores, where there are several"),
          fineTuning: fineTuningSchema.optional(),
        }),
      ]),
    )
    .min(1)
    .describe("names, or ONNX and TensorFlow Lite files of your own"),
  seeds: seedsSchema.describe("repetitions with seeds 0, 1, ..."),
  cells: z.array(blockSchema).min(1).describe("blocks of algorithms x backends x bits"),
  hyperparameters: hyperparametersSchema.describe("one set for all algorithms"),
  sensitivity: z
    .strictObject({
      maxDrop: z.number().positive().max(100).describe("points that may be lost against float"),
      images: z.number().int().min(1).default(1000).describe("training images to judge by"),
    })
    .optional()
    .describe(
      "asks each completed cell at the end which layers suffer, as quantbench sensitivity does",
    ),
});
export type Matrix = z.infer<typeof matrixSchema> & { readonly name: string };

const presetDirectory = dirname(
  createRequire(import.meta.url).resolve("#package/benchmarks/matrices/quick.yaml"),
);

/** Repetitions of a model's cells: as many as the matrix's, or fewer. */
export const seedsOf = (
  model: Matrix["models"][number],
  { seeds }: Pick<Matrix, "seeds">,
): number => ("name" in model ? Math.min(seeds, model.seeds ?? seeds) : seeds);

/** What a matrix calls a model: its name, or its file. */
export const modelName = (model: Matrix["models"][number]): string =>
  "name" in model ? model.name : model.file;

/** Names of the matrices that come with the package. */
export async function presetNames(): Promise<string[]> {
  const files = await readdir(presetDirectory);
  return files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => basename(file, ".yaml"))
    .sort();
}

/**
 * The accuracy.csv that is published for a preset, in the project's results/PRESET.
 *
 * @returns nothing where the name is no preset's, or nothing is published for it
 */
export async function publishedAccuracies(
  preset: string,
): Promise<{ readonly name: string; readonly text: string } | undefined> {
  if (!(await presetNames()).includes(preset)) return undefined;
  const name = `results/${preset}/accuracy.csv`;
  const path = resolve(presetDirectory, "..", "..", name);
  if (!existsSync(path)) return undefined;
  return { name, text: await readFile(path, "utf8") };
}

/**
 * Reads a preset by name or a matrix file by path.
 *
 * @throws Error with file, line and column, what is wrong there and what is accepted
 */
export async function loadMatrix(nameOrPath: string): Promise<Matrix> {
  const isFile = /\.ya?ml$/.test(nameOrPath);
  const presets = await presetNames();
  if (!isFile && !presets.includes(nameOrPath)) {
    throw new Error(`${unknownName("matrix", nameOrPath, presets)} A file needs the ending .yaml.`);
  }
  const path = isFile ? nameOrPath : join(presetDirectory, `${nameOrPath}.yaml`);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`cannot read the matrix file ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  });
  return { ...besideFile(parseMatrix(text, path), path), name: basename(path, extname(path)) };
}

/** Files that a matrix names lie beside it. */
function besideFile(
  matrix: z.infer<typeof matrixSchema>,
  path: string,
): z.infer<typeof matrixSchema> {
  const beside = (file: string) => resolve(dirname(path), file);
  const { dataset, models: listed } = matrix;
  const isPath = typeof dataset === "object" && !datasets.some(({ name }) => name === dataset.path);
  return {
    ...matrix,
    dataset: isPath ? { ...dataset, path: beside(dataset.path) } : dataset,
    models: listed.map((model) =>
      "file" in model ? { ...model, file: beside(model.file) } : model,
    ),
  };
}

/** @param path only for messages */
export function parseMatrix(text: string, path: string): z.infer<typeof matrixSchema> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) throw new Error(`${path}: ${syntaxError.message}`);
  const parsed = matrixSchema.safeParse(contentOf(document, path));
  const fail = (keys: readonly PropertyKey[], message: string): never => {
    throw new Error(`${path}:${position(document, lines, keys)}: ${message}`);
  };
  if (!parsed.success) {
    // A misspelt key also makes the right one missing; the misspelling explains more.
    const issues = parsed.error.issues.map(ofLikeliest);
    const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
    if (issue === undefined) throw parsed.error;
    const where = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      const key = issue.keys[0] ?? "";
      fail([...issue.path, key], unknownName("key", key, keysAt(issue.path)));
    }
    fail(issue.path, `${where}: ${issue.message}`);
  }
  const matrix = parsed.data as z.infer<typeof matrixSchema>; // fail() above never returns
  checkNames(matrix, fail);
  const cells = cellsOf(matrix);
  if (cells > MAX_CELLS)
    fail(["cells"], `these are ${String(cells)} cells; at most ${String(MAX_CELLS)} are accepted`);
  return matrix;
}

/** References may unfold to any size; the parser refuses that. */
function contentOf(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** How many cells there are, those counted again that are named again. */
function cellsOf({ models: listed, cells, seeds }: z.infer<typeof matrixSchema>): number {
  const count = (names: "all" | readonly string[], all: readonly unknown[]) =>
    names === "all" ? all.length : names.length;
  return cells.reduce((all, block) => {
    const variants = block.variants?.length ?? 1;
    const repeated = listed
      .filter((model) => block.models?.includes(modelName(model)) !== false)
      .reduce((sum, model) => sum + seedsOf(model, { seeds }), 0);
    const named = repeated * block.bits.length * variants;
    return all + named * count(block.algorithms, algorithms) * count(block.backends, backends);
  }, 0);
}

type Fail = (keys: readonly PropertyKey[], message: string) => never;

function checkNames(matrix: z.infer<typeof matrixSchema>, fail: Fail): void {
  const check = (
    keys: readonly PropertyKey[],
    kind: string,
    name: string,
    entries: readonly { readonly name: string }[],
  ) => {
    try {
      lookup(kind, name, entries);
    } catch (error) {
      fail(keys, (error as Error).message);
    }
  };
  if (typeof matrix.dataset === "string") check(["dataset"], "dataset", matrix.dataset, datasets);
  matrix.models.forEach((model, i) => {
    if ("name" in model) check(["models", i, "name"], "model", model.name, models);
  });
  matrix.cells.forEach((block, i) => {
    for (const [key, entries] of [
      ["algorithms", algorithms],
      ["backends", backends],
    ] as const) {
      const chosen = block[key];
      if (chosen === "all") continue;
      chosen.forEach((name, j) => {
        check(["cells", i, key, j], key.slice(0, -1), name, entries);
      });
    }
    block.models?.forEach((name, j) => {
      const existing = matrix.models.map((model) => ({ name: modelName(model) }));
      check(["cells", i, "models", j], "model of the matrix", name, existing);
    });
    block.variants?.forEach(({ initialization, budget }, j) => {
      if (budget !== undefined && "on" in budget && budget.unit !== "microseconds")
        check(
          ["cells", i, "variants", j, "budget", "on"],
          "hardware model",
          budget.on,
          hardwareModels,
        );
      for (const role of ["weights", "activations"] as const) {
        const name = initialization?.[role];
        const keys = ["cells", i, "variants", j, "initialization", role];
        if (name !== undefined) check(keys, "observer", name, observers);
      }
    });
  });
}

/** "line:column" of the value at `keys`, or of the innermost one around it that exists. */
function position(document: Document, lines: LineCounter, keys: readonly PropertyKey[]): string {
  for (let depth = keys.length; depth >= 0; depth--) {
    const node = document.getIn(keys.slice(0, depth), true) as
      { range?: [number, number, number] } | undefined;
    if (node?.range) {
      const { line, col } = lines.linePos(node.range[0]);
      return `${String(line)}:${String(col)}`;
    }
  }
  return "1:1";
}

/** Of a value that may have one of several forms, what is wrong with the form that it is closest to. */
function ofLikeliest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  // A form of another type is far off; one with the right type and a wrong key is close.
  const isClose = ([first]: readonly z.core.$ZodIssue[]) =>
    first !== undefined && (first.code === "unrecognized_keys" || first.path.length > 0);
  const likeliest = issue.errors.find(isClose) ?? issue.errors[0] ?? [];
  const inner = likeliest.find(({ code }) => code === "unrecognized_keys") ?? likeliest[0];
  if (inner === undefined) return issue;
  return ofLikeliest({ ...inner, path: [...issue.path, ...inner.path] });
}

/** The keys that the schema accepts at a path. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schemas: unknown[] = [matrixSchema];
  for (const key of path) {
    schemas = schemas.flatMap(forms).flatMap((inner) => {
      if (inner instanceof z.ZodArray) return [inner.element];
      if (inner instanceof z.ZodObject) return [(inner.shape as Record<PropertyKey, unknown>)[key]];
      return [];
    });
  }
  const objects = schemas.flatMap(forms).filter((inner) => inner instanceof z.ZodObject);
  return [...new Set(objects.flatMap(({ shape }) => Object.keys(shape)))];
}

/** The forms that a value may have. */
function forms(schema: unknown): unknown[] {
  if (schema instanceof z.ZodOptional) return forms(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(forms);
  return [schema];
}
