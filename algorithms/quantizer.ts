import type * as tf from "#tf";
import type { OperatorKind, StoredWeights } from "../backends/hardware/hardware.js";
import type { QuantScheme } from "../backends/scheme.js";

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
  /** Weights of a shift layer, which are signed powers of two whatever the algorithm. */
  readonly operator?: "shift";
  /** Weights: multiplications with this tensor in one inference. Activations: 0. */
  readonly multiplications: number;
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

/** A set of values without equal steps. */
export interface Codebook {
  /** [n], rising: what a tensor may be. */
  readonly levels: tf.Tensor1D;
  /** [n - 1], rising: x is put on the level with as many thresholds below x. */
  readonly thresholds: tf.Tensor1D;
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
  /**
   * Which values get a gradient, for the conformance suite: those between the ends of the grid
   * ("exact", as in LSQ), those that round to one of its integers ("rounded", as in TQT and in
   * PyTorch's fake quantization: up to half a step more), or "all". Undeclared: the same at both ends.
   */
  readonly passes?: "exact" | "rounded" | "all";
  /** How gradients of learned values are scaled down counts the samples of a batch, as in MQBench. */
  readonly countsBatch?: boolean;
  /** What its levels are if not "uniform"; decides which backends it can run on. */
  readonly levels?: "codebook" | "logarithmic";
  /**
   * What a product with its weights is where it is no multiplication: "shift" if all levels of the site are signed
   * powers of two times one scale. Hardware models then count it as that.
   */
  operator?(site: QuantizerSite): OperatorKind;
  /** The levels that `fakeQuantize` puts x on where they are not uniform; then used for deployment. */
  codebook?(values: QuantizerTensors, site: QuantizerSite, x?: tf.Tensor): Codebook | undefined;
  /** Fewest bits that it has levels for; 2 if absent. */
  readonly fewestBits?: 1 | 2;
  /** `initialize` gives {scale, zeroPoint} alone, so that any observer's can take its place. */
  readonly startsFromGrid?: boolean;
  /** Last values from the trained ones: where training is softer than what is deployed. */
  finish?(values: QuantizerValues, site: QuantizerSite): QuantizerValues;
  /** Bits of each output channel, where the quantizer itself chose them; site's if absent. */
  bitWidths?(values: QuantizerValues, site: QuantizerSite): readonly number[];
  /** How the weights are stored where that takes less than their codes; read from the bytes themselves. */
  stored?(values: QuantizerValues, site: QuantizerSite): StoredWeights | undefined;
}
