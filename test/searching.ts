import { deserialize, serialize } from "node:v8";
import type { Algorithm } from "../algorithms/algorithm.js";
import { academic } from "../backends/academic.js";
import { resnet8 } from "../benchmarks/models/index.js";
import { loadEngine, randomStream } from "../pipelines/engine/index.js";
import { foldBatchNorm, initialParameters, placeQuantizers } from "../pipelines/network/index.js";
import { quantize, type Quantization, type SearchState } from "../pipelines/quantize/index.js";
import { train } from "../pipelines/train/index.js";
import { toyDataset } from "./support.js";

/** What a search on the toy images may visit. */
export const TOY_VISITS = 1000;

export const dataset = toyDataset();
export const hyperparameters = {
  batchSize: 8,
  momentum: 0.9,
  weightDecay: 1e-4,
  augmentation: { shift: 1, flip: false },
  pretrain: { epochs: 4, learningRate: 0.05 },
  calibrationBatches: 2,
  quantizedTraining: { epochs: 0.25, learningRate: 0.01 },
  search: { visits: TOY_VISITS, heldOut: 24, fineTuning: { steps: 2, learningRate: 0.001 } },
};
const engine = await loadEngine("onnxruntime");
export const floatNetwork = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
const { tensors: checkpoint } = await train(engine, {
  network: floatNetwork,
  tensors: initialParameters(floatNetwork, 0),
  ...{ dataset, hyperparameters, schedule: hyperparameters.pretrain, seed: 0, name: "pretrain" },
});

class Killed extends Error {}

interface ToySearch extends Partial<Quantization> {
  /** Of weights and activations. */
  readonly bits?: number;
  /** How likely it is killed at each sign of life: before each run of the network, after each policy. */
  readonly killed?: number;
}

/**
 * Quantizes a small ResNet-8 on toy images, at 4 bits unless told otherwise, by an algorithm that searches.
 *
 * @returns its result, and how often it was killed on the way
 */
export async function searchToy(
  algorithm: Algorithm,
  { killed = 0, bits = 4, ...changes }: ToySearch = {},
) {
  const quantized = placeQuantizers(foldBatchNorm(floatNetwork, academic.batchNorm), academic, {
    ...{ weights: bits, activations: bits },
  });
  const task = {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, dataset, hyperparameters },
    ...{ quantized, batchNorm: academic.batchNorm, seed: 0 },
    ...changes,
  };
  const random = randomStream(7, "deaths");
  let written: Buffer | undefined;
  for (let deaths = 0; ; deaths++) {
    const found = written && (deserialize(written) as SearchState);
    const keep = (state: () => SearchState) => {
      written = serialize(state());
      return Promise.resolve();
    };
    const onSearch = () => {
      if (random.uniform() < killed) throw new Killed();
    };
    try {
      const keeper = { searchKeeper: { found, keep }, onSearch };
      return { ...(await quantize(engine, { ...task, ...keeper })), deaths };
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
  }
}
