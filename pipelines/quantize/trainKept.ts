import { phasesOf } from "../../algorithms/algorithm.js";
import {
  accuracyOf,
  evaluate,
  train,
  type Dataset,
  type ImageSet,
  type Training,
  type TrainingResult,
} from "../train/index.js";
import type { Engine, HostTensors } from "../engine/index.js";
import { asDeployed, finished } from "../network/index.js";

/** What training made of a calibrated network. */
export interface FineTuned {
  /** Accuracies on the test set. */
  readonly calibrated: number;
  readonly trained: number;
  readonly kept: "calibrated" | "trained";
}

/** Training images that decide whether training is kept: the test set must not. */
const DECIDING_IMAGES = 1000;

/**
 * Trains quantized. A network that came trained is evaluated before and after, and stays as it was calibrated
 * where training made it worse on training images.
 */
export async function trainKept(
  engine: Engine,
  training: Training,
): Promise<TrainingResult & { readonly fineTuned?: FineTuned }> {
  const { quantizers, network, dataset, hyperparameters } = training;
  if (hyperparameters.fineTuning === undefined || quantizers === undefined)
    return train(engine, training);
  const { algorithm, sites } = quantizers;
  const accuracy = async (tensors: HostTensors, on: Dataset): Promise<number> => {
    const mode = (current: Parameters<typeof asDeployed>[2]) =>
      asDeployed(algorithm, { network, sites }, current);
    const logits = await evaluate(engine, network, {
      ...{ tensors: finished(algorithm, sites, tensors), dataset: on, mode },
    }).catch((error: unknown) => {
      // Of a training that diverged; what it gives is no number.
      if (error instanceof RangeError) return undefined;
      throw error;
    });
    return logits === undefined ? 0 : accuracyOf(logits, on);
  };
  const deciding = { ...dataset, test: firstOf(dataset.train, DECIDING_IMAGES) };
  const before = training.tensors;
  const calibrated = await accuracy(before, dataset);
  const result = await train(engine, training);
  const trained = await accuracy(result.tensors, dataset);
  // Where training changes what it gives, as by pruning, the calibrated network is not what was asked for.
  const changes = phasesOf(algorithm, network).some(({ adapts }) => adapts !== undefined);
  const worse =
    !changes && (await accuracy(result.tensors, deciding)) < (await accuracy(before, deciding));
  const fineTuned = { calibrated, trained, kept: worse ? "calibrated" : "trained" } as const;
  if (!worse) return { ...result, fineTuned };
  const { losses, accuracies } = result; // it is no divergence any more
  return { losses, accuracies, tensors: before, fineTuned };
}

/** The first images of a set. */
function firstOf(set: ImageSet, wanted: number): ImageSet {
  const count = Math.min(wanted, set.count);
  const part = <T extends Uint8Array | Uint16Array | Float32Array>(data: T): T =>
    data.subarray(0, (data.length / set.count) * count) as T;
  return {
    ...set,
    count,
    images: part(set.images),
    labels: part(set.labels),
    ...(set.values && { values: part(set.values) }),
  };
}
