import * as tf from "@tensorflow/tfjs";
import {
  foldedBias,
  foldFactor,
  normalizeByBatch,
  normalizeByRunning,
  type BatchNormParameters,
} from "./batchNorm.js";
import type { ConvNode, DenseNode, Network, NetworkNode } from "./network.js";

export type ParameterTensors = Readonly<Record<string, tf.Tensor>>;

export interface ForwardOptions {
  readonly parameters: ParameterTensors;
  /** Batch norm uses the batch's statistics and updates the running ones. */
  readonly training: boolean;
  /** Called where a tensor is quantized, with the site's id; gives back what to go on with. */
  readonly quantize: (site: string, x: tf.Tensor) => tf.Tensor;
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

/**
 * Interprets a network with tfjs operations. One function for training, calibration and
 * evaluation, so that they cannot differ.
 *
 * @param images [batch, height, width, channels]
 */
export function forward(
  network: Network,
  images: tf.Tensor,
  options: ForwardOptions,
): ForwardResult {
  const values = new Map<string, tf.Tensor>();
  const statistics: Record<string, tf.Tensor> = {};
  const value = (name: string): tf.Tensor => {
    const found = values.get(name);
    if (found === undefined) throw new Error(`network reads "${name}" before it is computed`);
    return found;
  };
  for (const node of network.nodes) values.set(node.name, compute(node));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  return { logits: value(last.name) as tf.Tensor2D, outputs: values, statistics };

  function compute(node: NetworkNode): tf.Tensor {
    switch (node.op) {
      case "input":
        return images;
      case "conv2d":
        return convolution(node, value(node.input));
      case "dense": {
        const kernel = parameter(`${node.name}/kernel`);
        const quantized = options.quantize(`${node.name}/kernel`, kernel);
        const product = tf.matMul(value(node.input), quantized);
        return tf.add(product, bias(node, kernel, parameter(`${node.name}/bias`)));
      }
      case "batchNorm":
        return normalize(node.name, value(node.input));
      case "relu":
        return tf.relu(value(node.input));
      case "relu6":
        return tf.relu6(value(node.input));
      case "add":
        return tf.add(value(node.inputs[0]), value(node.inputs[1]));
      case "globalAveragePool":
        return tf.mean(value(node.input), [1, 2]);
      case "quantize":
        return options.quantize(node.name, value(node.input));
      default:
        return node satisfies never;
    }
  }

  function parameter(name: string): tf.Tensor {
    const found = options.parameters[name];
    if (found === undefined) throw new Error(`network parameter "${name}" is missing`);
    return found;
  }

  function bias(layer: ConvNode | DenseNode, kernel: tf.Tensor, exact: tf.Tensor): tf.Tensor {
    return options.training || !options.bias ? exact : options.bias(layer, kernel, exact);
  }

  function batchNormParameters(name: string): BatchNormParameters {
    return {
      gamma: parameter(`${name}/gamma`),
      beta: parameter(`${name}/beta`),
      mean: parameter(`${name}/mean`),
      variance: parameter(`${name}/variance`),
    };
  }

  function normalize(name: string, x: tf.Tensor): tf.Tensor {
    const parameters = batchNormParameters(name);
    if (!options.training) return normalizeByRunning(x, parameters);
    const { y, mean, variance } = normalizeByBatch(x, parameters);
    statistics[`${name}/mean`] = mean;
    statistics[`${name}/variance`] = variance;
    return y;
  }

  /**
   * With batch norm folded, training follows strategy 4 of MQBench (PyTorch's): quantize the
   * kernel as deployment folds it, undo the factor, let a live batch norm measure the result.
   */
  function convolution(node: ConvNode, x: tf.Tensor): tf.Tensor {
    const site = `${node.name}/kernel`;
    const kernel = parameter(site);
    if (node.foldedBatchNorm === undefined)
      return convolve(node, x, options.quantize(site, kernel));
    const batchNorm = batchNormParameters(node.foldedBatchNorm);
    const factor = foldFactor(batchNorm);
    const folded = tf.mul(kernel, node.depthwise ? tf.reshape(factor, [1, 1, -1, 1]) : factor);
    const y = convolve(node, x, options.quantize(site, folded));
    if (!options.training) return tf.add(y, bias(node, folded, foldedBias(batchNorm)));
    // A channel whose factor is 0 convolves to 0, and stays 0 whatever it is divided by.
    return normalize(node.foldedBatchNorm, tf.mul(y, tf.reciprocal(tf.add(factor, 1e-12))));
  }
}

function convolve(node: ConvNode, x: tf.Tensor, kernel: tf.Tensor): tf.Tensor {
  const pad = (node.kernelSize - 1) / 2;
  const padding: tf.backend_util.ExplicitPadding = [
    [0, 0],
    [pad, pad],
    [pad, pad],
    [0, 0],
  ];
  const compute = node.depthwise ? tf.depthwiseConv2d : tf.conv2d;
  return compute(x as tf.Tensor4D, kernel as tf.Tensor4D, node.stride, padding);
}
