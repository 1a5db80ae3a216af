import type * as tf from "@tensorflow/tfjs";
import type { Source } from "../backends/backend.js";
import type { QuantScheme } from "../backends/scheme.js";
import type { Network } from "../pipelines/network/network.js";

/** One place in a network where a tensor is quantized. */
export interface QuantizerSite {
  /** Unique in the network: "s1.0.a/kernel" for a weight, "s1.0.a/output" for an activation. */
  readonly id: string;
  readonly role: "weight" | "activation";
  readonly scheme: QuantScheme;
  /** Weights: the tensor's shape in tfjs order. Activations: one sample's shape, no batch axis. */
  readonly shape: readonly number[];
  /** The axis of `shape` along which output channels lie (per-channel scales follow it). */
  readonly channelAxis: number;
  /** Known from the network: no value is below 0. */
  readonly nonNegative: boolean;
}

/** A quantizer's state: its numbers by name. */
export type QuantizerTensors = Readonly<Record<string, tf.Tensor>>;

export interface QuantizerValue {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
export type QuantizerValues = Readonly<Record<string, QuantizerValue>>;

/** What deployment needs; shapes as `scaleShape` gives them. */
export interface QuantParams {
  /** Real units per integer step, > 0. */
  readonly scale: tf.Tensor;
  /** The integer that stands for 0, as a float tensor of the same shape. */
  readonly zeroPoint: tf.Tensor;
}

/**
 * How one tensor is quantized. A quantizer is stateless: its numbers live in named tensors that
 * the pipeline keeps, trains and stores. All functions on tensors are traced once and replayed,
 * so they must not read values.
 */
export interface Quantizer {
  /** Names of the values that training changes; gradients must reach them. */
  readonly learned: readonly string[];
  /** Statistics of one calibration batch. */
  observe(x: tf.Tensor, site: QuantizerSite): QuantizerTensors;
  /** First values from the statistics of all calibration batches. */
  initialize(batches: readonly QuantizerValues[], site: QuantizerSite): QuantizerValues;
  /** Quantizes and dequantizes x, differentiably in x and in the learned values. */
  fakeQuantize(x: tf.Tensor, values: QuantizerTensors, site: QuantizerSite): tf.Tensor;
  /**
   * Scale and zero point of the grid that `fakeQuantize` puts x on. Only weight quantizers may
   * depend on x: an activation's scale is fixed when the network is deployed.
   */
  quantParams(values: QuantizerTensors, site: QuantizerSite, x?: tf.Tensor): QuantParams;
}

/** What a training phase may change. */
export type ParameterGroup = "weights" | "quantizers";

/** What a phase's own loss is made of; all tensors belong to the current batch. */
export interface LossTerms {
  readonly crossEntropy: tf.Scalar;
  /** [batch, classes], of the quantized network. */
  readonly logits: tf.Tensor2D;
  /** [batch, classes], one-hot. */
  readonly labels: tf.Tensor2D;
  /** What a node of the quantized network gave, by its name. */
  readonly output: (node: string) => tf.Tensor;
  /** What a node of the float network gives on the same batch; computed only when asked for. */
  readonly teacherOutput: (node: string) => tf.Tensor;
  /** Each quantizer's values, by site. */
  readonly quantizers: ReadonlyMap<QuantizerSite, QuantizerTensors>;
}

export interface Phase {
  readonly name: string;
  /** Part of the training budget, which is the same for all algorithms; shares add up to 1. */
  readonly share: number;
  readonly trains: readonly ParameterGroup[];
  /** Trains only tensors whose name this accepts: "s0.0.a/kernel", "s0.0.a/kernel:scale". */
  readonly only?: (name: string) => boolean;
  /** Replaces the cross entropy; an algorithm that sets it declares it in `deviations`. */
  readonly loss?: (terms: LossTerms) => tf.Scalar;
}

/**
 * A quantization algorithm. It never sees the data, the optimizer or the schedule: those are the
 * same for all, and what an algorithm does differently is declared here and printed in the report.
 */
export interface Algorithm {
  /** Equal to the name of its file. */
  readonly name: string;
  readonly title: string;
  /** Raised whenever a change here changes results, so that older ones are not reused. */
  readonly version: number;
  readonly source: Source;
  /** Where this implementation departs from its source, and why. */
  readonly deviations: readonly string[];
  readonly weight: Quantizer;
  readonly activation: Quantizer;
  /**
   * What is trained, in order; empty for post-training quantization. A function where phases
   * follow the network, as when blocks are reconstructed one after another.
   */
  readonly phases: readonly Phase[] | ((network: Network) => readonly Phase[]);
  /** The reason why this site cannot be quantized as its scheme asks, or nothing. */
  unsupported?(site: QuantizerSite): string | undefined;
  /**
   * Changes the network before quantizers are placed. Parameters that keep their name and shape
   * are taken from the float checkpoint, others start anew.
   */
  rewrite?(network: Network): Network;
}

/** The phases of an algorithm on one (quantized) network. */
export function phasesOf({ phases }: Algorithm, network: Network): readonly Phase[] {
  return typeof phases === "function" ? phases(network) : phases;
}

/** The usual training: everything, for the whole budget. */
export const TRAIN_ALL: readonly Phase[] = [
  { name: "train", share: 1, trains: ["weights", "quantizers"] },
];
