import { TRAIN_ALL, type Algorithm } from "../../algorithms/algorithm.js";
import type { BackendProfile } from "../../backends/backend.js";
import { calibrate } from "../../pipelines/quantize/index.js";
import {
  type Batch,
  type Dataset,
  RunningPhase,
  type Training,
  trainingBatches,
} from "../../pipelines/train/index.js";
import type { Engine } from "../../pipelines/engine/index.js";
import { initialParameters, placeQuantizers } from "../../pipelines/network/index.js";
import type { Model } from "../models/index.js";

export interface TrainingToPrepare {
  readonly dataset: Dataset;
  readonly model: Model;
  readonly width: number;
  readonly batchSize: number;
  /** Absent: the float network is trained. */
  readonly quantized?: {
    readonly algorithm: Algorithm;
    readonly backend: BackendProfile;
    readonly bits: number;
  };
}

/** The first steps of a training from random weights, for measuring and comparing engines. */
export async function preparedTraining(
  engine: Engine,
  { dataset, model, width, batchSize, quantized }: TrainingToPrepare,
): Promise<Training> {
  const float = model.build({ inputShape: dataset.shape, classes: dataset.classes, width });
  const schedule = { epochs: 1, learningRate: 0.01 };
  const hyperparameters = {
    ...{ batchSize, momentum: 0.9, weightDecay: 1e-4 },
    augmentation: { shift: 0, flip: false },
    ...{ pretrain: schedule, calibrationBatches: 1, quantizedTraining: schedule },
  };
  const parameters = initialParameters(float, 0);
  const common = { dataset, hyperparameters, schedule, seed: 0, name: "prepared" };
  if (quantized === undefined) return { network: float, tensors: parameters, ...common };
  const { algorithm, backend, bits } = quantized;
  const placed = placeQuantizers(float, backend, { weights: bits, activations: bits });
  const values = await calibrate(engine, {
    ...{ ...placed, algorithm, parameters, dataset, hyperparameters },
  });
  const teacher = { network: float, parameters };
  return {
    network: placed.network,
    tensors: { ...parameters, ...values },
    quantizers: { algorithm, sites: placed.sites, teacher },
    ...common,
  };
}

/** The training on an engine, and the batches that it sees. */
export function runningTraining(
  engine: Engine,
  training: Training,
): { readonly phase: RunningPhase; readonly batches: Generator<Batch, never> } {
  const { hyperparameters, seed, name, dataset, quantizers } = training;
  return {
    phase: new RunningPhase(engine, training, quantizers && TRAIN_ALL[0]),
    batches: trainingBatches(dataset, { ...hyperparameters, seed, name }),
  };
}
