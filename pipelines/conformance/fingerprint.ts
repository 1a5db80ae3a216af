import { createHash } from "node:crypto";
import * as tf from "#tf";
import {
  phasesOf,
  UnsupportedNetwork,
  unsupportedLevels,
  type Algorithm,
  type Phase,
  type Quantizer,
  type QuantizerSite,
  type QuantizerValues,
} from "../../algorithms/algorithm.js";
import type { Network } from "../../algorithms/network.js";
import {
  SYMMETRIC_PER_CHANNEL,
  SYMMETRIC_PER_TENSOR,
  type QuantScheme,
} from "../../backends/scheme.js";
import { describeStep, loadEngine, type Signature } from "../engine/index.js";
import {
  featureShapes,
  inheritParameters,
  initialParameters,
  parameterSpecs,
  quantizerOf,
} from "../network/index.js";
import { calibrated, SHAPE } from "./subject.js";

/** Number formats that quantizers are recorded for: what they may tell apart. */
const SCHEMES: readonly QuantScheme[] = [
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 4 },
  { ...SYMMETRIC_PER_CHANNEL, bitWidth: 8, narrowRange: true },
  { ...SYMMETRIC_PER_CHANNEL, bitWidth: 4, symmetric: false, signed: false },
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 4, scaleForm: "powerOfTwo", rounding: "dpu" },
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 8, levels: "logarithmic" },
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 4, levels: "any" },
];

/** Those that algorithms of few levels are for; hashes of others are older than these. */
const FEW_LEVELS: readonly QuantScheme[] = [
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 1, levels: "any" },
  { ...SYMMETRIC_PER_CHANNEL, bitWidth: 1 },
  { ...SYMMETRIC_PER_TENSOR, bitWidth: 2, levels: "any" },
];

/** Layers of each kind that rewriting and phases look at; the first and the last are often special. */
const NETWORK: Network = {
  nodes: [
    { op: "input", name: "image", shape: [4, 4, 1] },
    ...convolution("stem", "image"),
    ...convolution("a", "stem/relu"),
    ...convolution("b", "a/relu"),
    { op: "add", name: "sum", inputs: ["b/relu", "stem/relu"] },
    { op: "globalAveragePool", name: "pool", input: "sum" },
    { op: "dense", name: "classifier", input: "pool", units: 4 },
  ],
};

function convolution(name: string, input: string): Network["nodes"] {
  return [
    {
      ...{ op: "conv2d", name, input, filters: 8, kernelSize: 3, stride: 1, depthwise: false },
    },
    { op: "batchNorm", name: `${name}/norm`, input: name },
    { op: "relu", name: `${name}/relu`, input: `${name}/norm` },
  ];
}

const made = new WeakMap<Algorithm, Promise<string>>();

/**
 * A hash of what an algorithm computes: its functions on tensors as recorded graphs on fixed tensors,
 * its functions on numbers by what they give, and its data. Other names, comments or helpers leave it
 * as it is; another constant or operation does not.
 */
export function fingerprint(algorithm: Algorithm): Promise<string> {
  const known = made.get(algorithm) ?? afterOthers(() => compute(algorithm));
  made.set(algorithm, known);
  return known;
}

let last: Promise<unknown> = Promise.resolve();

/** One after another: recording is a state of tfjs, which afterwards is as it was. */
function afterOthers(work: () => Promise<string>): Promise<string> {
  const result = last.then(async () => {
    // Typed as a string, but undefined until some backend was used.
    const previous = tf.getBackend() as string | undefined;
    try {
      return await work();
    } finally {
      if (previous !== undefined) await tf.setBackend(previous);
    }
  });
  last = result.catch(() => undefined);
  return result;
}

const DIGITS = 16;

async function compute(algorithm: Algorithm): Promise<string> {
  const { reconstruction, search, corrections } = algorithm;
  const quantizers: unknown[] = [];
  const schemes = algorithm.family === "binary and ternary" ? [...SCHEMES, ...FEW_LEVELS] : SCHEMES;
  for (const site of sites(schemes)) quantizers.push(await describeQuantizer(algorithm, site));
  const phases: unknown[] = [];
  for (const phase of phasesOf(algorithm, NETWORK))
    phases.push(await describePhase(algorithm, phase));
  const parts = [
    quantizers,
    phases,
    // What a search does is a matter of `version`, and what it may be asked for changes nothing of it.
    { reconstruction, search: search && { ...search, keepsTo: undefined }, corrections },
    describeRewriting(algorithm),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, DIGITS);
}

function sites(schemes: readonly QuantScheme[] = SCHEMES): QuantizerSite[] {
  return schemes.flatMap((scheme) =>
    (["weight", "activation"] as const).map((role) => ({
      id: role === "weight" ? "a/kernel" : "a/output",
      role,
      scheme: { ...scheme, granularity: role === "weight" ? scheme.granularity : "perTensor" },
      shape: role === "weight" ? SHAPE : SHAPE.slice(1),
      channelAxis: 3,
      nonNegative: !scheme.signed && role === "activation",
      multiplications: role === "weight" ? 1000 : 0,
    })),
  );
}

const unsupportedBy = (algorithm: Algorithm, site: QuantizerSite): string | undefined =>
  unsupportedLevels(quantizerOf(algorithm, site), site) ?? algorithm.unsupported?.(site);

const X: Signature[string] = { shape: SHAPE, dtype: "float32" };

async function describeQuantizer(algorithm: Algorithm, site: QuantizerSite): Promise<unknown> {
  const quantizer = quantizerOf(algorithm, site);
  if (unsupportedBy(algorithm, site) !== undefined) return "unsupported";
  const values = await firstValues(quantizer, site);
  const { learned, levels, startsFromGrid } = quantizer;
  return [
    { learned, levels, startsFromGrid },
    await describeStep(({ x }) => quantizer.observe(x as tf.Tensor, site), { x: X }),
    rounded(values),
    await describeStep((inputs) => recordUse(quantizer, site, inputs), {
      x: X,
      ...typesOf(values),
    }),
    rounded(quantizer.finish?.(values, site)),
    quantizer.bitWidths?.(values, site),
  ];
}

/** Computed by plain tfjs, whose sums have one order on every machine. */
async function firstValues(quantizer: Quantizer, site: QuantizerSite): Promise<QuantizerValues> {
  await loadEngine("tfjs");
  tf.engine().startScope();
  try {
    return calibrated(quantizer, site).values;
  } finally {
    tf.engine().endScope();
  }
}

/** Fake quantization with its gradients, and what deployment reads. */
function recordUse(
  quantizer: Quantizer,
  site: QuantizerSite,
  { x, ...values }: Readonly<Record<string, tf.Tensor>>,
): Record<string, tf.Tensor> {
  const input = x as tf.Tensor;
  const learned = quantizer.learned.filter((name) => name in values);
  const gradients = tf.grads((given: tf.Tensor, ...trained: tf.Tensor[]) => {
    const current = Object.fromEntries(learned.map((name, i) => [name, trained[i] as tf.Tensor]));
    return quantizer.fakeQuantize(given, { ...values, ...current }, site);
  })([input, ...learned.map((name) => values[name] as tf.Tensor)]);
  const ofWeight = site.role === "weight" ? input : undefined;
  const grid =
    quantizer.codebook?.(values, site, ofWeight) ?? quantizer.quantParams(values, site, ofWeight);
  return {
    quantized: quantizer.fakeQuantize(input, values, site),
    ...Object.fromEntries(
      ["x", ...learned].map((name, i) => [`d ${name}`, gradients[i] as tf.Tensor]),
    ),
    ...grid,
  };
}

async function describePhase(algorithm: Algorithm, phase: Phase): Promise<unknown> {
  const { share, trains, only, anneals, adapts, loss } = phase;
  const names = [...parameterSpecs(NETWORK).keys()].flatMap((name) => [name, `${name}:scale`]);
  return [
    { share, trains, only: only && names.filter(only) },
    [0, 0.25, 0.5, 0.75, 1].map((progress) =>
      Object.entries(anneals?.(progress) ?? {}).map(([name, value]) => [name, toDigits(value)]),
    ),
    // A loss that only fits another network, as one with a teacher does, is known by its text.
    loss && (await describeLoss(algorithm, loss).catch(() => loss.toString())),
    ...(adapts === undefined ? [] : [await describeAdapting(algorithm, adapts)]),
  ];
}

/** The values that one quantizer of weights is given on fixed weights, on the way through a training. */
async function describeAdapting(algorithm: Algorithm, adapts: NonNullable<Phase["adapts"]>) {
  const site = sites().find(
    ({ role, scheme }) => role === "weight" && scheme.bitWidth === 4 && scheme.levels === undefined,
  );
  if (site === undefined || unsupportedBy(algorithm, site) !== undefined) return "unsupported";
  const values = await firstValues(quantizerOf(algorithm, site), site);
  const data = Object.entries(values).map(([name, value]) => [name, value.data] as const);
  const weights = values["mask"] ?? values["labels"] ?? { data: new Float32Array(0) };
  const drawn = weights.data.map((_, i) => Math.fround(((i * 37) % 101) / 50 - 1));
  const seen = new Map([[site, { weights: drawn, values: Object.fromEntries(data) }]]);
  return [0.1, 0.3, 0.5, 1].map((progress) =>
    [...(adapts(progress, seen) ?? [])].map(([, changed]) => rounded(changed)),
  );
}

const BATCH = 2;
const CLASSES = 4;

/** A loss as a graph from what it may ask for, on the small network. */
async function describeLoss(algorithm: Algorithm, loss: NonNullable<Phase["loss"]>) {
  const shapes = featureShapes(NETWORK);
  const quantizers = sites()
    .filter(({ scheme }) => scheme.bitWidth === 4)
    .filter((site) => unsupportedBy(algorithm, site) === undefined)
    .map((site, i) => ({ site, key: `quantizer ${String(i)}/` }));
  const signature: Record<string, Signature[string]> = {
    crossEntropy: { shape: [], dtype: "float32" },
    logits: { shape: [BATCH, CLASSES], dtype: "float32" },
    labels: { shape: [BATCH, CLASSES], dtype: "float32" },
  };
  for (const of of ["output", "teacher"]) {
    // A node that only a certain network has is taken for one like its logits.
    signature[of] = { shape: [BATCH, CLASSES], dtype: "float32" };
    for (const [node, shape] of shapes)
      signature[`${of} ${node}`] = { shape: [BATCH, ...shape], dtype: "float32" };
  }
  for (const { site, key } of quantizers) {
    const values = await firstValues(quantizerOf(algorithm, site), site);
    for (const [name, type] of Object.entries(typesOf(values))) signature[key + name] = type;
    signature[`tensor ${key}`] = X;
  }
  const asked: string[] = [];
  const described = await describeStep((inputs) => {
    const node = (of: string) => (name: string) => {
      asked.push(`${of} ${name}`);
      return (inputs[`${of} ${name}`] ?? inputs[of]) as tf.Tensor;
    };
    return {
      loss: loss({
        crossEntropy: inputs["crossEntropy"] as tf.Scalar,
        logits: inputs["logits"] as tf.Tensor2D,
        labels: inputs["labels"] as tf.Tensor2D,
        ...{ output: node("output"), teacherOutput: node("teacher") },
        teacherLogits: () => node("teacher")("logits") as tf.Tensor2D,
        tensor: (site) => {
          const { key = "" } = quantizers.find((one) => one.site === site) ?? {};
          return inputs[`tensor ${key}`] as tf.Tensor;
        },
        quantizers: new Map(
          quantizers.map(({ site, key }) => [
            site,
            Object.fromEntries(
              Object.entries(inputs).flatMap(([name, tensor]) =>
                name.startsWith(key) ? [[name.slice(key.length), tensor] as const] : [],
              ),
            ),
          ]),
        ),
      }),
    };
  }, signature);
  return [described, asked];
}

function describeRewriting(algorithm: Algorithm): unknown {
  if (algorithm.rewrite === undefined) return undefined;
  try {
    const rewritten = algorithm.rewrite(NETWORK, { weights: 1, activations: 1 });
    if (algorithm.inherit === undefined) return rewritten;
    const parameters = initialParameters(NETWORK, 0);
    return [rewritten, rounded(inheritParameters(rewritten, parameters, { algorithm, seed: 0 }))];
  } catch (error) {
    if (error instanceof UnsupportedNetwork) return "unsupported";
    throw error;
  }
}

const typesOf = (values: QuantizerValues): Signature =>
  Object.fromEntries(
    Object.entries(values).map(([name, { shape }]) => [name, { shape, dtype: "float32" }]),
  );

/** So that logarithms of another processor, which may differ in the last bit, make no difference. */
const toDigits = (value: number): number | string =>
  Number.isFinite(value) ? Number(value.toPrecision(5)) || 0 : String(value);

const rounded = (
  values:
    Readonly<Record<string, { shape: readonly number[]; data: ArrayLike<number> }>> | undefined,
): unknown =>
  values &&
  Object.entries(values)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { shape, data }]) => [name, shape, Array.from(data, toDigits)]);
