import * as ort from "../../pipelines/onnxruntime.js";
import { loadModel, infer } from "../../pipelines/deploy/index.js";
import { SESSION_OPTIONS } from "../../pipelines/session.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import { freezeFloat } from "../../pipelines/freeze/index.js";
import {
  floatToHalf,
  halfToFloat,
  type Ending,
  type ImportedInput,
  type ImportedNetwork,
} from "../../pipelines/import/index.js";
import type { FeatureShape } from "../../algorithms/network.js";

const COMPARED_IMAGES = 4;
/** Of the largest score: float32 sums in another order. */
const TOLERANCE = 1e-4;
/** Where the original rounds values to 16 bits, which the imported network does not. */
const HALF_TOLERANCE = 0.05;

/**
 * Runs the imported network beside the original on onnxruntime, on noise.
 *
 * @param path of the original
 * @throws Error when the imported network gives other scores than the original
 */
export async function compareWithOriginal(
  path: string,
  imported: ImportedNetwork,
  shape: FeatureShape,
): Promise<void> {
  const { network, parameters, input, output } = imported;
  const random = randomStream(0, "imported network");
  const [height = 1, width = 1, channels = 1] = shape;
  const size = height * width * channels;
  const { batch = 1 } = input;
  const count = Math.max(COMPARED_IMAGES, batch);
  const here = await loadModel(exportOnnx(freezeFloat(network, parameters), "imported"), "shipped");
  const original = await openOriginal(path);
  try {
    for (let first = 0; first + batch <= count; first += batch) {
      const images = Array.from({ length: batch }, () =>
        Float32Array.from({ length: size }, () => 2 * random.uniform() - 1),
      ); // channels first
      const given = images.map((pixels) =>
        input.layout === "NCHW" ? pixels : channelsLast(pixels, { height, width, channels }),
      );
      const results = await original.run({ [input.name]: asTensor(given, input) });
      const scores = numbers(results[output]);
      const each = scores.length / batch;
      for (const [i, pixels] of images.entries()) {
        const tensor = new ort.Tensor("float32", pixels, [1, channels, height, width]);
        const expected = scores.subarray(i * each, (i + 1) * each);
        compareScores(await infer(here, tensor), expected, imported);
      }
    }
  } finally {
    await here.release();
    await original.release();
  }
}

async function openOriginal(path: string): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(path, SESSION_OPTIONS);
  } catch (error) {
    throw new Error(
      `onnxruntime cannot run the original, so it cannot be compared: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function compareScores(
  logits: Float32Array,
  expected: Float32Array,
  { ending, halfPrecision }: ImportedNetwork,
): void {
  const unknown = expected.findIndex((value) => !Number.isFinite(value));
  if (unknown >= 0)
    throw new Error(
      `the original gives the score ${String(expected[unknown])} for noise: it cannot be compared, nor quantized`,
    );
  const found = ending === undefined ? logits : ended(logits, ending);
  const reach = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const tolerance = (halfPrecision ? HALF_TOLERANCE : TOLERANCE) * reach;
  const wrong = found.findIndex(
    (value, i) => !(Math.abs(value - (expected[i] ?? NaN)) <= tolerance),
  );
  if (wrong >= 0 || found.length !== expected.length)
    throw new Error(
      `the imported network gives score ${String(found[wrong])} where the original gives ${String(expected[wrong])}; please report this`,
    );
}

/** Images in the original's own type and shape. */
function asTensor(images: readonly Float32Array[], { shape, type }: ImportedInput): ort.Tensor {
  const size = images[0]?.length ?? 0;
  const data = new Float32Array(images.length * size);
  images.forEach((image, i) => {
    data.set(image, i * size);
  });
  const dimensions = [images.length, ...shape];
  if (type === "float32") return new ort.Tensor("float32", data, dimensions);
  return new ort.Tensor("float16", Uint16Array.from(data, floatToHalf), dimensions);
}

function numbers(result: ort.OnnxValue | undefined): Float32Array {
  if (result === undefined) return new Float32Array(0);
  const { type, data } = result;
  // Where JavaScript has 16-bit floats, onnxruntime gives those; else their bits.
  if (type === "float16" && data instanceof Uint16Array)
    return Float32Array.from(data, halfToFloat);
  return Float32Array.from(data, Number);
}

function channelsLast(
  pixels: Float32Array,
  { height, width, channels }: { height: number; width: number; channels: number },
): Float32Array {
  const area = height * width;
  return Float32Array.from(
    pixels,
    (_, i) => pixels[(i % channels) * area + Math.floor(i / channels)] ?? 0,
  );
}

function ended(logits: Float32Array, ending: Ending): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits.map((logit) =>
    ending === "softmax" ? Math.exp(logit - largest) / sum : logit - largest - Math.log(sum),
  );
}
