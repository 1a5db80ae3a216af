import cos from "@stdlib/math-base-special-cos";
import type { Augmentation } from "./data.js";
import type { Distillation } from "./distillation.js";

/** One stage of training by stochastic gradient descent. */
export interface Schedule {
  /** Visits of each training image; fractions are allowed. */
  readonly epochs: number;
  /** Peak, after a linear warm-up over 5 % of the steps and before a cosine down to 0. */
  readonly learningRate: number;
}

/** What decides how a network learns, whatever it starts from. */
export interface Learning {
  readonly batchSize: number;
  /** Nesterov momentum. */
  readonly momentum: number;
  /** On kernels and on learned quantizer values; none on biases and batch norm. */
  readonly weightDecay: number;
  /** On learned quantizer values, where it differs. */
  readonly quantizerWeightDecay?: number | undefined;
  readonly augmentation: Augmentation;
  /** Part of each label that is spread over all classes; none if absent. */
  readonly labelSmoothing?: number | undefined;
  /** Of quantized training, where the algorithm has no loss of its own; none if absent. */
  readonly distillation?: Distillation | undefined;
  /** For networks that came trained; absent for those that are trained here from scratch. */
  readonly fineTuning?: FineTuning | undefined;
}

/**
 * Everything that decides a training besides the algorithm: one set for all algorithms, which
 * never see it. The matrix chooses it; results carry it.
 */
export interface Hyperparameters extends Learning {
  /** Float training, from scratch; or the network that comes with the project, trained already. */
  readonly pretrain: Schedule | "stored";
  /** Training batches that observers see. */
  readonly calibrationBatches: number;
  /** Quantization-aware training, from the float checkpoint. */
  readonly quantizedTraining: Schedule;
  /** How algorithms that reconstruct layers or blocks do it. */
  readonly reconstruction?: ReconstructionSchedule | undefined;
  /** How much algorithms that search may look at, the same for all. */
  readonly search?: SearchEffort | undefined;
  /** Only the first images of the data set, for trying things. */
  readonly trainImages?: number | undefined;
  readonly testImages?: number | undefined;
}

/** What protects a network that came trained. */
export interface FineTuning {
  /** "frozen" keeps the statistics with which the network arrived, in training too. */
  readonly batchNorm: "frozen" | "learned";
}

/** Reconstruction of one layer or block after another, by Adam. */
export interface ReconstructionSchedule {
  /** Training images that are reconstructed. */
  readonly images: number;
  readonly batchSize: number;
  /** At most so many for each layer or block. */
  readonly steps: number;
  /** Of the roundings; scales of activations learn at a tenth of it, with a cosine to 0. */
  readonly learningRate: number;
}

export const DEFAULT_RECONSTRUCTION: ReconstructionSchedule = {
  images: 256,
  batchSize: 32,
  steps: 300,
  learningRate: 0.01,
};

/** What a search may do before it must answer. */
export interface SearchEffort {
  /** Images through the network: one visit each, three where gradients come back. */
  readonly visits: number;
  /** Training images that policies are judged by and no search trains on. */
  readonly heldOut: number;
  /** Of each policy that is tried, from the float parameters; batches as in training. */
  readonly fineTuning: { readonly steps: number; readonly learningRate: number };
}

export const DEFAULT_SEARCH: SearchEffort = {
  visits: 200_000,
  heldOut: 1000,
  fineTuning: { steps: 10, learningRate: 0.001 },
};

const WARM_UP = 0.05;

export function stepCount(schedule: Schedule, images: number, batchSize: number): number {
  return Math.max(1, Math.round((schedule.epochs * images) / batchSize));
}

/** Learning rate of one step: linear warm-up, then a cosine to 0. */
export function learningRateAt(schedule: Schedule, step: number, steps: number): number {
  const warmUp = Math.ceil(steps * WARM_UP);
  if (step < warmUp) return (schedule.learningRate * (step + 1)) / (warmUp + 1);
  const progress = (step - warmUp) / Math.max(1, steps - warmUp);
  return (schedule.learningRate * (1 + cos(Math.PI * progress))) / 2;
}
