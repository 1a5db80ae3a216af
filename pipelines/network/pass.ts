import type * as tf from "#tf";
import type { ConvNode, DenseNode } from "../../algorithms/network.js";
import type { BatchNormParameters } from "./batchNorm.js";

export type ParameterTensors = Readonly<Record<string, tf.Tensor>>;

export interface ForwardOptions {
  readonly parameters: ParameterTensors;
  /** Batch norm uses the batch's statistics and updates the running ones. */
  readonly training: boolean;
  /**
   * Called where a tensor is quantized, with the site's id; gives back what to go on with. Where a parameter shares
   * the grid of an activation, once more with the same site and that parameter's name.
   */
  readonly quantize: (site: string, x: tf.Tensor, parameter?: string) => tf.Tensor;
  /** Called with what a node gave; gives back what others read instead. */
  readonly after?: (node: string, x: tf.Tensor) => tf.Tensor;
  /** Called for the bias of a dense layer or folded convolution, unless training. */
  readonly bias?: (layer: ConvNode | DenseNode, kernel: tf.Tensor, exact: tf.Tensor) => tf.Tensor;
}

export interface ForwardResult {
  /** [batch, classes] */
  readonly logits: tf.Tensor2D;
  /** What each node gave, by its name. */
  readonly outputs: ReadonlyMap<string, tf.Tensor>;
  /** New running statistics by parameter name; empty unless training. */
  readonly statistics: ParameterTensors;
}

/** One pass through a network: what its nodes read, and what they leave behind. */
export interface Pass {
  readonly options: ForwardOptions;
  readonly statistics: Record<string, tf.Tensor>;
  /** What an input node stands for. */
  readonly image: (node: string) => tf.Tensor;
  /** What an earlier node gave. */
  readonly value: (node: string) => tf.Tensor;
  readonly parameter: (name: string) => tf.Tensor;
}

export const batchNormOf = (name: string, { parameter }: Pass): BatchNormParameters => ({
  gamma: parameter(`${name}/gamma`),
  beta: parameter(`${name}/beta`),
  mean: parameter(`${name}/mean`),
  variance: parameter(`${name}/variance`),
});

/** A bias as training has it, or as it is deployed. */
export function biasOf(
  layer: ConvNode | DenseNode,
  { options }: Pass,
  { kernel, exact }: { readonly kernel: tf.Tensor; readonly exact: tf.Tensor },
): tf.Tensor {
  return options.training || !options.bias ? exact : options.bias(layer, kernel, exact);
}
