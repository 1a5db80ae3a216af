import {
  phasesOf,
  type Algorithm,
  type QuantizerSite,
  type QuantizerValues,
} from "../../algorithms/algorithm.js";
import type { StoredWeights } from "../../backends/hardware/hardware.js";
import type { BackendProfile, BatchNormStrategy } from "../../backends/backend.js";
import { calibrate } from "./calibrate.js";
import { correctBias, recalibrateBatchNorm } from "./corrections.js";
import {
  type Batch,
  batchesInOrder,
  type Dataset,
  DEFAULT_RECONSTRUCTION,
  type Hyperparameters,
  type ImageProgress,
  type TrainingKeeper,
  type TrainingProgress,
  type TrainingResult,
} from "../train/index.js";
import { float32, type Engine, type HostTensor, type HostTensors } from "../engine/index.js";
import {
  equalize,
  finished,
  inheritParameters,
  mergeParameters,
  type QuantizedNetwork,
  quantizerOf,
  type RowStorage,
  valueName,
} from "../network/index.js";
import type { Network, Operators } from "../../algorithms/network.js";
import type { Filters } from "../../algorithms/laboratory.js";
import { foundTensors } from "./foundTensors.js";
import { trainKept, type FineTuned } from "./trainKept.js";
import type { Clock } from "./search/policyCost.js";
import {
  search,
  type SearchKeeper,
  type SearchProgress,
  type SearchRecord,
} from "./search/search.js";
import { reconstruct } from "./reconstruct/reconstruct.js";

export interface Quantization {
  readonly algorithm: Algorithm;
  readonly floatNetwork: Network;
  readonly checkpoint: HostTensors;
  /** The float network as the algorithm rewrote it, before batch norm was folded. */
  readonly rewritten: Network;
  readonly batchNorm: BatchNormStrategy;
  readonly quantized: QuantizedNetwork;
  readonly dataset: Dataset;
  readonly hyperparameters: Hyperparameters;
  readonly seed: number;
  readonly onStep?: (progress: TrainingProgress) => void;
  readonly onCalibration?: (progress: ImageProgress) => void;
  readonly onSearch?: (progress: SearchProgress) => void;
  readonly keeper?: TrainingKeeper | undefined;
  readonly searchKeeper?: SearchKeeper | undefined;
  /** For searches that keep to measured time. */
  readonly clock?: Clock | undefined;
  /** Widths that the backend has, for searches; all if absent. */
  readonly bitWidths?: BackendProfile["bitWidths"];
  /** For activations, where a reconstruction needs all of them. */
  readonly storage?: RowStorage;
}

export interface QuantizationResult extends TrainingResult {
  /** Those of the network, with bit widths as the algorithm chose them. */
  readonly sites: readonly QuantizerSite[];
  /** What training made of a network that came trained. */
  readonly fineTuned?: FineTuned;
  /** Output channels by convolution, where the search chose them. */
  readonly filters?: Filters;
  /** Convolutions that became other operators, where the search chose them. */
  readonly operators?: Operators;
  /** What the search did, where there was one. */
  readonly search?: SearchRecord;
}

/**
 * From a float checkpoint to a quantized network, by whatever the algorithm consists of: equalize,
 * search bits or widths, calibrate, correct, reconstruct, train, finish.
 */
export async function quantize(engine: Engine, task: Quantization): Promise<QuantizationResult> {
  const { algorithm, quantized, dataset, hyperparameters, seed } = task;
  const { corrections = {}, reconstruction } = algorithm;
  const batches = calibrationBatches(dataset, hyperparameters);

  const inherited = inheritParameters(task.rewritten, task.checkpoint, { algorithm, seed });
  const merged = task.batchNorm === 0 ? mergeParameters(task.rewritten, inherited) : inherited;
  const trained = corrections.equalize ? equalize(quantized.network, merged) : merged;
  const { test: _, ...images } = dataset; // what searches must not see
  const searched =
    algorithm.search &&
    (await search(engine, {
      ...quantized,
      search: algorithm.search,
      ...{ parameters: trained, images, calibration: batches, hyperparameters, seed },
      ...{
        bitWidths: task.bitWidths,
        keeper: task.searchKeeper,
        clock: task.clock,
        onProgress: task.onSearch,
      },
    }));
  const { network, sites: allocated } = searched?.quantized ?? quantized;
  const { parameters, values: foundValues } = foundTensors(network, {
    ...{ trained, found: searched?.tensors ?? {}, seed },
  });
  const common = { network, sites: allocated, algorithm };
  const values = await calibrate(engine, {
    ...{ ...common, parameters, dataset, hyperparameters, onImages: task.onCalibration },
  });
  let tensors: HostTensors = { ...parameters, ...values, ...foundValues };
  if (corrections.recalibrateBatchNorm)
    tensors = await recalibrateBatchNorm(engine, { ...common, tensors, batches });
  if (corrections.correctBias) tensors = await correctBias(engine, { ...common, tensors, batches });
  const result: TrainingResult & { readonly fineTuned?: FineTuned } = await (async () => {
    if (reconstruction !== undefined) {
      const reconstructed = await reconstruct(engine, {
        ...common,
        algorithm: { ...algorithm, reconstruction },
        tensors,
        images: firstImages(dataset, hyperparameters),
        hyperparameters,
        seed,
        ...(task.onStep && { onUnit: task.onStep }),
        keeper: task.keeper,
        ...(task.storage && { storage: task.storage }),
      });
      return { ...reconstructed, accuracies: new Float32Array(0) };
    }
    if (phasesOf(algorithm, network).length === 0) {
      return { tensors, losses: new Float32Array(0), accuracies: new Float32Array(0) };
    }
    return trainKept(engine, {
      network,
      tensors,
      quantizers: {
        algorithm,
        sites: allocated,
        teacher: { network: task.floatNetwork, parameters: task.checkpoint },
      },
      dataset,
      hyperparameters,
      schedule: hyperparameters.quantizedTraining,
      seed,
      name: "quantizedTraining",
      ...(task.onStep && { onStep: task.onStep }),
      keeper: task.keeper,
    });
  })();
  return {
    ...result,
    tensors: finished(algorithm, allocated, result.tensors),
    sites: allocated,
    ...(searched?.filters && { filters: searched.filters }),
    ...(searched?.operators && { operators: searched.operators }),
    ...(searched && { search: searched.record }),
  };
}

/** Bits of each channel of a site, where its quantizer chose them. */
export function channelBits(
  algorithm: Algorithm,
  site: QuantizerSite,
  tensors: HostTensors,
): readonly number[] | undefined {
  return quantizerOf(algorithm, site).bitWidths?.(valuesAt(site, tensors), site);
}

/** A quantizer's values among all tensors. */
function valuesAt(site: QuantizerSite, tensors: HostTensors): QuantizerValues {
  const prefix = valueName(site, "");
  return Object.fromEntries(
    Object.entries<HostTensor>(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, { shape, data }]) => [
        name.slice(prefix.length),
        { shape, data: Float32Array.from(data) },
      ]),
  );
}

/** The compressed formats of weights, by their sites. */
export function storedForms(
  algorithm: Algorithm,
  sites: readonly QuantizerSite[],
  tensors: HostTensors,
): ReadonlyMap<string, StoredWeights> {
  return new Map(
    sites.flatMap((site) => {
      const stored = quantizerOf(algorithm, site).stored?.(valuesAt(site, tensors), site);
      return stored === undefined ? [] : [[site.id, stored] as const];
    }),
  );
}

/** Bits of each channel, of all sites whose quantizers chose them. */
export function chosenWidths(
  algorithm: Algorithm,
  sites: readonly QuantizerSite[],
  tensors: HostTensors,
): ReadonlyMap<string, readonly number[]> {
  return new Map(
    sites.flatMap((site) => {
      const bits = channelBits(algorithm, site, tensors);
      return bits === undefined ? [] : [[site.id, bits] as const];
    }),
  );
}

/** The first training images in whole batches: what observers and corrections see. */
function calibrationBatches(dataset: Dataset, hyperparameters: Hyperparameters): Batch[] {
  const size = Math.min(hyperparameters.batchSize, dataset.train.count);
  const batches: Batch[] = [];
  for (const batch of batchesInOrder(dataset, dataset.train, size)) {
    if (batches.length === hyperparameters.calibrationBatches) break;
    if (batch.images.shape[0] === size) batches.push(batch);
  }
  return batches;
}

/** The first training images as one tensor: what is reconstructed. */
function firstImages(dataset: Dataset, hyperparameters: Hyperparameters): HostTensor {
  const { images } = hyperparameters.reconstruction ?? DEFAULT_RECONSTRUCTION;
  const count = Math.min(images, dataset.train.count);
  const { value } = batchesInOrder(dataset, dataset.train, count).next();
  if (value === undefined) throw new Error("the data set has no training images");
  return float32(Float32Array.from(value.images.data), value.images.shape);
}
