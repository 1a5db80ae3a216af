import { z } from "zod";
import { FAMILIES } from "../../algorithms/algorithm.js";

const functionOf = <T>() =>
  z.custom<T>((value) => typeof value === "function", { error: "must be a function" });
const action = functionOf<(...values: never[]) => unknown>();
const text = z.string().min(1);
const name = z.string().regex(/^[a-z][a-zA-Z0-9]*$/, {
  error: "must be a camelCase name of letters and digits",
});
const source = z.looseObject({ title: text, url: z.string() });
const version = z.number().int().positive();
const texts = z.array(z.string());

const quantizer = z.looseObject({
  learned: texts,
  observe: action,
  initialize: action,
  fakeQuantize: action,
  quantParams: action,
});
const phase = z.looseObject({
  name: text,
  share: z.number().min(0).max(1),
  trains: z.array(z.enum(["weights", "quantizers"])),
});
const algorithm = z.looseObject({
  ...{ name, title: text, version, source, deviations: texts },
  ...{ weight: quantizer, activation: quantizer },
  phases: z.union([z.array(phase), action]),
  family: z.enum(FAMILIES).optional(),
});

const tensorScheme = z.looseObject({
  symmetric: z.boolean(),
  signed: z.union([z.boolean(), z.literal("adaptive")]),
  narrowRange: z.boolean(),
  granularity: z.enum(["perTensor", "perChannel"]),
  scaleForm: z.enum(["fp32", "powerOfTwo"]),
});
const bitRange = z.looseObject({ min: z.number().int(), max: z.number().int() });
const backend = z.looseObject({
  ...{ name, title: text, hardware: text, version, source, notes: texts },
  ...{ weights: tensorScheme, activations: tensorScheme },
  graph: z.looseObject({
    quantizers: z.enum(["perConsumer", "shared"]),
    addOperands: z.enum(["none", "allButOne", "all"]),
    poolInputs: z.boolean(),
    outputs: z.enum(["none", "operators", "everyOperator"]),
  }),
  batchNorm: z.number().int().min(-1).max(4),
  bitWidths: z.looseObject({ weights: bitRange, activations: bitRange }),
  edgeBitWidth: z.number().int(),
});

const model = z.looseObject({
  ...{ name, title: text, version, source, build: action },
  defaultWidth: z.number().int().positive(),
});
const dataset = z.looseObject({
  ...{ name, title: text, license: text, files: texts, load: action },
  embedded: z.boolean(),
});

/** The parts of a plugin that can be checked before anything runs; `quantbench check` tries the rest. */
export const pluginSchema = z.strictObject({
  algorithms: z.array(algorithm).optional(),
  backends: z.array(backend).optional(),
  models: z.array(model).optional(),
  datasets: z.array(dataset).optional(),
});
