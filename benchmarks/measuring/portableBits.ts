import { createHash } from "node:crypto";
import { adaRound } from "../../algorithms/adaRound.js";
import type { Algorithm } from "../../algorithms/algorithm.js";
import { dsq } from "../../algorithms/dsq.js";
import { hawq } from "../../algorithms/hawq.js";
import { lsq } from "../../algorithms/lsq.js";
import { tqt } from "../../algorithms/tqt.js";
import { academic } from "../../backends/academic.js";
import type { BackendProfile } from "../../backends/backend.js";
import { tvm } from "../../backends/tvm.js";
import { loadEngine, type Engine, type HostTensors } from "../../pipelines/engine/index.js";
import {
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../pipelines/network/index.js";
import { quantize } from "../../pipelines/quantize/index.js";
import { limitDataset, train, type Dataset } from "../../pipelines/train/index.js";
import { datasets } from "../datasets/index.js";
import { lookup } from "../lookup.js";
import { mobileNetV2, resnet8, type Model } from "../models/index.js";

/**
 * What small trainings on the portable engine end with, on every machine: the first digits of the
 * SHA-256 of all their tensors. Where one changes, PORTABLE_VERSION has to be raised; where an algorithm
 * changes what it computes, its own version.
 */
export const EXPECTED_BITS: Readonly<Record<string, string>> = {
  "float ResNet-8": "90ea2a3c04c373a0",
  "float MobileNetV2": "204fd19b6ef87047",
  "LSQ on Academic": "2f36557f26f605b9",
  "LSQ on TVM": "bd207080272513a9",
  "DSQ on Academic": "1301850bd51c5a29",
  "TQT on Academic": "3e64d12f5bca74e9",
  "AdaRound on Academic": "77e723e1d8a8160f",
  "HAWQ on Academic": "3fc00beb6a0f0ae4",
};

const hyperparameters = {
  batchSize: 16,
  momentum: 0.9,
  weightDecay: 1e-4,
  augmentation: { shift: 2, flip: true },
  pretrain: { epochs: 1, learningRate: 0.05 },
  calibrationBatches: 2,
  quantizedTraining: { epochs: 1, learningRate: 0.01 },
  reconstruction: { images: 32, batchSize: 8, steps: 12, learningRate: 0.03 },
  trainImages: 128,
  testImages: 16,
};

/** Trains a small network from a seed in several ways. @returns the hash of each one's tensors */
export async function portableBits(
  onResult: (name: string, hash: string) => void = () => undefined,
): Promise<Record<string, string>> {
  const engine = await loadEngine("portable");
  // Read without what native runtimes need: they may be missing where bits are compared.
  const images = await lookup("dataset", "fashionMnist", datasets).load("");
  const dataset = limitDataset(images, hyperparameters);
  const bits: Record<string, string> = {};
  const keep = (name: string, tensors: HostTensors) => {
    bits[name] = hashOf(tensors);
    onResult(name, bits[name]);
  };
  const float = await trainFloat(engine, dataset, resnet8);
  keep("float ResNet-8", float);
  keep("float MobileNetV2", await trainFloat(engine, dataset, mobileNetV2));
  const cases: readonly (readonly [Algorithm, BackendProfile])[] = [
    [lsq, academic],
    [lsq, tvm],
    [dsq, academic],
    [tqt, academic],
    [adaRound, academic],
    [hawq, academic],
  ];
  for (const [algorithm, backend] of cases) {
    const tensors = await quantized(engine, { dataset, algorithm, backend, checkpoint: float });
    keep(`${algorithm.title} on ${backend.title}`, tensors);
  }
  return bits;
}

const networkOf = (model: Model, { shape, classes }: Dataset) =>
  model.build({ inputShape: shape, classes, width: 4 });

async function trainFloat(engine: Engine, dataset: Dataset, model: Model): Promise<HostTensors> {
  const network = networkOf(model, dataset);
  const { tensors } = await train(engine, {
    ...{ network, tensors: initialParameters(network, 0), dataset, hyperparameters },
    ...{ schedule: hyperparameters.pretrain, seed: 0, name: "pretrain" },
  });
  return tensors;
}

async function quantized(
  engine: Engine,
  task: {
    readonly dataset: Dataset;
    readonly algorithm: Algorithm;
    readonly backend: BackendProfile;
    readonly checkpoint: HostTensors;
  },
): Promise<HostTensors> {
  const { dataset, algorithm, backend, checkpoint } = task;
  const floatNetwork = networkOf(resnet8, dataset);
  const { batchNorm } = backend;
  const bits = { weights: 4, activations: 4 };
  const { tensors } = await quantize(engine, {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, batchNorm, dataset },
    quantized: placeQuantizers(foldBatchNorm(floatNetwork, batchNorm), backend, bits),
    ...{ hyperparameters, seed: 0 },
  });
  return tensors;
}

/** Of names, shapes and values, in the order of the names. */
function hashOf(tensors: HostTensors): string {
  const hash = createHash("sha256");
  for (const [name, { shape, data }] of Object.entries(tensors).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    hash.update(`${name} ${shape.join()}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}
