import type * as tf from "#tf";
import type { QuantizerSite } from "../algorithms/algorithm.js";
import type { Network } from "../algorithms/network.js";
import type { QuantScheme } from "../backends/scheme.js";
import * as ort from "../pipelines/onnxruntime.js";
export { toTensors, toValues } from "../pipelines/conformance/index.js";
import {
  channelsFirst,
  collectLogits,
  type Dataset,
  type ImageSet,
  type Logits,
} from "../pipelines/train/index.js";
import { infer, type Kernels, loadModel } from "../pipelines/deploy/index.js";
import { randomStream } from "../pipelines/engine/index.js";

/** Deterministic values, roughly normal (sum of uniforms). */
export function normalValues(size: number, seed: number, deviation = 1): number[] {
  const random = randomStream(seed, "test values");
  return Array.from({ length: size }, () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += random.uniform();
    return (sum - 6) * deviation;
  });
}

export const int4: QuantScheme = {
  bitWidth: 4,
  signed: true,
  symmetric: true,
  narrowRange: false,
  granularity: "perTensor",
  scaleForm: "fp32",
};

export function site(overrides: Partial<QuantizerSite> = {}): QuantizerSite {
  return {
    id: "layer/kernel",
    role: "weight",
    scheme: int4,
    shape: [4],
    channelAxis: 0,
    nonNegative: false,
    multiplications: 0,
    ...overrides,
  };
}

/**
 * Whether a network has adder layers: with batch norms that have seen nothing, their sums are far below 0, and
 * nothing passes the ReLU behind them.
 */
export const hasAdders = ({ nodes }: Network): boolean =>
  nodes.some((node) => node.op === "float" && node.operation.kind === "adder");

export const numbers = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

/** Small images whose class shows in the brightness of one quarter: learnable within steps. */
export function toyDataset(count = 64): Dataset {
  const random = randomStream(1, "toy images");
  const make = (): ImageSet => {
    const images = new Uint8Array(count * 64);
    const labels = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const label = i % 4;
      labels[i] = label;
      for (let pixel = 0; pixel < 64; pixel++) {
        const quarter = (pixel >> 5) * 2 + ((pixel & 7) >> 2);
        images[i * 64 + pixel] = random.integer(80) + (quarter === label ? 150 : 0);
      }
    }
    return { count, images, labels };
  };
  return {
    name: "toy",
    shape: [8, 8, 1],
    classes: 4,
    mean: [0.25],
    deviation: [0.25],
    mayFlip: false,
    train: make(),
    test: make(),
    checksum: "toy",
  };
}

/** Logits of an exported model for every test image, from onnxruntime in this process. */
export async function deployedLogits(
  model: Uint8Array,
  dataset: Dataset,
  kernels: Kernels,
): Promise<Logits> {
  const session = await loadModel(model, kernels);
  try {
    return await collectLogits(dataset, (batch) => {
      const { data, shape } = channelsFirst(batch.images);
      return infer(session, new ort.Tensor("float32", data as Float32Array, shape));
    });
  } finally {
    await session.release();
  }
}
