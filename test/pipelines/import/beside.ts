// Imported networks beside their originals, on the same noise.
import * as ort from "../../../pipelines/onnxruntime.js";
import { expect } from "vitest";
import { academic } from "../../../backends/academic.js";
import { minMax } from "../../../algorithms/minMax.js";
import { loadEngine, randomStream } from "../../../pipelines/engine/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, freezeFloat } from "../../../pipelines/freeze/index.js";
import {
  floatToHalf,
  halfToFloat,
  importOnnx,
  importTflite,
  isTflite,
  type ImportedNetwork,
  type ImportOptions,
} from "../../../pipelines/import/index.js";
import {
  asDeployed,
  foldBatchNorm,
  placeQuantizers,
  unquantized,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { evaluate } from "../../../pipelines/train/index.js";
import { findRuntime, preciseKernels, scoresOn } from "../../../pipelines/deploy/index.js";
import { installedEngines } from "../../engines.js";
import { deployedLogits } from "../../support.js";

const random = randomStream(7, "imported networks");
export const values = (count: number, low = -0.5, high = 0.5): number[] =>
  Array.from({ length: count }, () => low + (high - low) * random.uniform());
export const noFiles = () => {
  throw new Error("no file may be read");
};

const IMAGES = 6;
const CLASSES = 5;

/** Noise of a shape, [height, width, channels]. */
export function noiseOf([height = 1, width = 1, channels = 1]: readonly number[]) {
  const pixels = Uint8Array.from(values(IMAGES * height * width * channels, 0, 256), Math.floor);
  const part = { count: IMAGES, images: pixels, labels: new Uint8Array(IMAGES) };
  return {
    ...{ name: "noise", shape: [height, width, channels], classes: CLASSES, mayFlip: false },
    ...{ mean: Array<number>(channels).fill(0.5), deviation: Array<number>(channels).fill(0.25) },
    ...{ train: part, test: part, checksum: "" },
  };
}
type Noise = ReturnType<typeof noiseOf>;

/** What onnxruntime makes of the original. */
async function originalScores(
  bytes: Uint8Array,
  { input, output }: ImportedNetwork,
  noise: Noise,
): Promise<number[][]> {
  const session = await ort.InferenceSession.create(bytes);
  const [height = 1, width = 1, channels = 1] = noise.shape;
  const [area, size] = [height * width, height * width * channels];
  const { batch = 1 } = input;
  const results: number[][] = [];
  for (let first = 0; first < IMAGES; first += batch) {
    const data = new Float32Array(batch * size);
    for (let i = 0; i < data.length; i++) {
      const [image, channel, pixel] = [
        Math.floor(i / size),
        i % channels,
        Math.floor((i % size) / channels),
      ];
      const byte = noise.test.images[first * size + i] ?? 0;
      const at = input.layout === "NCHW" ? image * size + channel * area + pixel : i;
      data[at] = (byte / 255 - 0.5) / 0.25;
    }
    const shape = [batch, ...input.shape];
    const tensor =
      input.type === "float32"
        ? new ort.Tensor("float32", data, shape)
        : new ort.Tensor("float16", Uint16Array.from(data, floatToHalf), shape);
    const given = (await session.run({ [input.name]: tensor }))[output];
    const data16 = given?.type === "float16" && given.data instanceof Uint16Array;
    const raw = Array.from(given?.data as ArrayLike<number>);
    const scores = data16 ? raw.map(halfToFloat) : raw;
    for (let i = 0; i < batch; i++) results.push(scores.slice(i * CLASSES, (i + 1) * CLASSES));
  }
  await session.release();
  return results;
}

/** What LiteRT makes of the original. */
async function scoresOnLiteRt(
  bytes: Uint8Array,
  { input, output }: ImportedNetwork,
  { shape, test: { images } }: Noise,
): Promise<number[][]> {
  const [height = 1, width = 1, channels = 1] = shape;
  const size = height * width * channels;
  const { batch = 1 } = input;
  const pixels = Float32Array.from(images, (byte) => (byte / 255 - 0.5) / 0.25);
  const each = Array.from({ length: IMAGES / batch }, (_, i) =>
    pixels.slice(i * batch * size, (i + 1) * batch * size),
  );
  const given = input.shape.length === 3 ? [channels, height, width] : input.shape;
  const scores = await scoresOn(
    findRuntime("litert"),
    { bytes, shape: given, batch, output },
    each,
  );
  return scores.flatMap((some) =>
    Array.from({ length: batch }, (_, i) => [...some.slice(i * CLASSES, (i + 1) * CLASSES)]),
  );
}

function ended(scores: readonly number[], { ending }: ImportedNetwork): readonly number[] {
  if (ending === undefined) return scores;
  const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
  return scores.map((score) =>
    ending === "softmax" ? Math.exp(score) / sum : score - Math.log(sum),
  );
}

export interface Compared {
  readonly imageShape?: readonly number[];
  readonly tolerance?: number;
  readonly options?: Partial<ImportOptions>;
}

/**
 * Imports a file and holds it against the original on every engine, then exported again, then
 * quantized (7-bit weights, which no processor saturates) against its simulation.
 */
export async function expectSame(
  bytes: Uint8Array,
  { imageShape = [6, 6, 3], tolerance = 1e-4, options = {} }: Compared = {},
): Promise<ImportedNetwork> {
  const lite = isTflite(bytes);
  const imported = lite
    ? importTflite(bytes, { imageShape, ...options })
    : importOnnx(bytes, { imageShape, readExternal: noFiles, ...options });
  const noise = noiseOf(imageShape);
  const expected = await (lite ? scoresOnLiteRt : originalScores)(bytes, imported, noise);
  const reach = Math.max(1, ...expected.flat().map(Math.abs));
  const compare = (logits: ArrayLike<number>, within: number) => {
    expected.forEach((scores, image) => {
      const own = Array.from(logits).slice(image * CLASSES, (image + 1) * CLASSES);
      ended(own, imported).forEach((score, i) => {
        expect(Math.abs(score - (scores[i] ?? NaN))).toBeLessThanOrEqual(within * reach);
      });
    });
  };
  for (const [, engine] of installedEngines)
    compare(
      await evaluate(engine, imported.network, {
        tensors: imported.parameters,
        dataset: noise,
        mode: () => ({ quantize: unquantized }),
      }),
      tolerance,
    );
  const again = exportOnnx(freezeFloat(imported.network, imported.parameters), "again");
  compare(await deployedLogits(again, noise, "shipped"), tolerance);
  const back = importOnnx(again, { imageShape, readExternal: noFiles });
  expect(back.classes).toBe(CLASSES);
  await expectDeployedAsSimulated(imported, noise);
  return imported;
}

async function expectDeployedAsSimulated(imported: ImportedNetwork, noise: Noise): Promise<void> {
  const engine = await loadEngine("onnxruntime");
  const folded = foldBatchNorm(imported.network, 0);
  const placed = placeQuantizers(folded, academic, { weights: 7, activations: 8 });
  const result = await quantize(engine, {
    ...{ algorithm: minMax, floatNetwork: imported.network, checkpoint: imported.parameters },
    ...{ rewritten: imported.network, batchNorm: 0, quantized: placed, dataset: noise, seed: 0 },
    hyperparameters: {
      ...{ batchSize: IMAGES, momentum: 0.9, weightDecay: 0, calibrationBatches: 1 },
      augmentation: { shift: 0, flip: false },
      pretrain: { epochs: 1, learningRate: 0.1 },
      quantizedTraining: { epochs: 1, learningRate: 0.01 },
    },
  });
  const network = { network: placed.network, sites: result.sites };
  const simulated = await evaluate(engine, placed.network, {
    ...{ tensors: result.tensors, dataset: noise },
    mode: (tensors) => asDeployed(minMax, network, tensors),
  });
  const frozen = await freeze(engine, network, { algorithm: minMax, tensors: result.tensors });
  const deployed = await deployedLogits(
    exportOnnx(frozen, "quantized"),
    noise,
    preciseKernels(frozen),
  );
  const reach = simulated.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  deployed.forEach((logit, i) => {
    // A value on a tie may round to the next step.
    expect(Math.abs(logit - (simulated[i] ?? NaN))).toBeLessThanOrEqual(0.03 * reach);
  });
}
