import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import type { Network } from "../../algorithms/network.js";
import type { HostTensors } from "../engine/index.js";
import type { BatchPosition, Dataset } from "./data.js";
import type { Learning, Schedule } from "./hyperparameters.js";

/** Quantizers of a training; absent while the float network is trained. */
export interface TrainedQuantizers {
  readonly algorithm: Algorithm;
  readonly sites: readonly QuantizerSite[];
  /** The float checkpoint, for losses that use a teacher. */
  readonly teacher: { readonly network: Network; readonly parameters: HostTensors };
}

export interface Training {
  readonly network: Network;
  /** First values of all parameters and quantizers. */
  readonly tensors: HostTensors;
  readonly quantizers?: TrainedQuantizers;
  readonly dataset: Dataset;
  readonly hyperparameters: Learning;
  readonly schedule: Schedule;
  readonly seed: number;
  /** Names the random streams: trainings with the same name and seed see the same batches. */
  readonly name: string;
  readonly onStep?: (progress: TrainingProgress) => void;
  readonly keeper?: TrainingKeeper | undefined;
}

/** A training between two steps: what it takes to go on with the same bits. */
export interface TrainingState {
  /** Steps that are done; the losses and accuracies are theirs. */
  readonly step: number;
  readonly losses: Float32Array;
  readonly accuracies: Float32Array;
  readonly tensors: HostTensors;
  /** Momenta of each phase that has begun, by its place among the phases. */
  readonly momenta: ReadonlyMap<number, HostTensors>;
  readonly next: BatchPosition;
}

/** Keeps a training while it goes on, so that what ends it costs little. */
export interface TrainingKeeper {
  /** Where the training was when it ended before its time. */
  readonly found: TrainingState | undefined;
  /** Told after every step; writes the state down when enough was done since the last time. */
  keep(state: () => TrainingState): Promise<void>;
}

export interface TrainingProgress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  /** Of trainings of the whole network. */
  readonly epoch?: number;
  readonly epochs?: number;
  readonly imagesPerSecond?: number;
}

export interface TrainingResult {
  readonly tensors: HostTensors;
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** Share of each step's images that were classified right, before the step. */
  readonly accuracies: Float32Array;
  /**
   * The first step whose loss was not finite; training stops there. Or the last, where a value is not finite
   * after it: a loss can be blind to that, for the largest of 0 and NaN is 0 on some engines.
   */
  readonly divergedAt?: number;
}

/** The first tensor with a value that is not finite. */
export function notFinite(tensors: HostTensors): string | undefined {
  return Object.entries(tensors).find(([, { data }]) => !data.every(Number.isFinite))?.[0];
}
