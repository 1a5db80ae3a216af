import * as ort from "../../pipelines/onnxruntime.js";
import { loadModel, infer } from "../../pipelines/deploy/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import { freezeFloat } from "../../pipelines/freeze/index.js";
import type { Ending, ImportedNetwork } from "../../pipelines/import/index.js";
import type { FeatureShape } from "../../algorithms/network.js";
import type { Original } from "./originals.js";

const COMPARED_IMAGES = 4;
/** Values of all images of one batch: a gigabyte. */
const MAX_VALUES = 2 ** 28;
/** Of the largest score: float32 sums in another order. */
const TOLERANCE = 1e-4;
/** Where the original rounds values to 16 bits, which the imported network does not. */
const HALF_TOLERANCE = 0.05;

/**
 * Runs the imported network beside the original, on noise.
 *
 * @throws Error when the imported network gives other scores than the original
 */
export async function compareWithOriginal(
  original: Original,
  imported: ImportedNetwork,
  [height = 1, width = 1, channels = 1]: FeatureShape,
): Promise<void> {
  const { network, parameters, input } = imported;
  const random = randomStream(0, "imported network");
  const size = height * width * channels;
  const { batch = 1 } = input;
  if (batch * size > MAX_VALUES)
    throw new Error(
      `it takes ${String(batch)} images at once; export it for one, or for any number`,
    );
  const images = Array.from(
    { length: Math.max(1, Math.floor(COMPARED_IMAGES / batch)) * batch },
    () =>
      Float32Array.from({ length: size }, () =>
        input.tokens === undefined ? 2 * random.uniform() - 1 : random.integer(input.tokens),
      ),
  ); // channels first
  const given = images.map((pixels) =>
    input.layout === "NCHW" ? pixels : channelsLast(pixels, { height, width, channels }),
  );
  const batches = Array.from({ length: images.length / batch }, (_, i) =>
    joined(given.slice(i * batch, (i + 1) * batch)),
  );
  const scores = await original(batches);
  const here = await loadModel(exportOnnx(freezeFloat(network, parameters), "imported"), "shipped");
  try {
    for (const [i, pixels] of images.entries()) {
      const tensor = new ort.Tensor("float32", pixels, [1, channels, height, width]);
      const ofBatch = scores[Math.floor(i / batch)] ?? new Float32Array(0);
      const each = ofBatch.length / batch;
      const expected = ofBatch.subarray((i % batch) * each, ((i % batch) + 1) * each);
      compareScores(await infer(here, tensor), expected, imported);
    }
  } finally {
    await here.release();
  }
}

function joined(images: readonly Float32Array[]): Float32Array {
  const size = images[0]?.length ?? 0;
  const data = new Float32Array(images.length * size);
  images.forEach((image, i) => {
    data.set(image, i * size);
  });
  return data;
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
