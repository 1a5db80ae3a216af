import * as tf from "@tensorflow/tfjs";
import {
  foldedBias,
  foldedTraining,
  foldFactor,
  normalizeByBatch,
  normalizeByRunning,
  type BatchNormParameters,
} from "./batchNorm.js";
import { definitionOf } from "./float/index.js";
import { shiftedWindows } from "./float/shiftedWindows.js";
import type {
  ConvNode,
  DenseNode,
  MaxPoolNode,
  Network,
  NetworkNode,
} from "../../algorithms/network.js";
import { windowOf } from "./window.js";

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
 * @param images [batch, height, width, channels]; for a part of a network, its inputs by name
 */
export function forward(
  network: Network,
  images: tf.Tensor | ((input: string) => tf.Tensor),
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
        return typeof images === "function" ? images(node.name) : images;
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
        return relu6(value(node.input));
      case "add":
        return tf.add(value(node.inputs[0]), value(node.inputs[1]));
      case "globalAveragePool":
        return tf.mean(value(node.input), [1, 2], node.keepsAxes);
      case "maxPool":
        return maxPool(value(node.input), node);
      case "concat":
        return tf.concat(node.inputs.map(value), value(node.inputs[0] ?? "").rank - 1);
      case "permuteChannels":
        return permuteChannels(value(node.input), node.order);
      case "quantize":
        return options.quantize(node.name, value(node.input));
      case "float":
        return definitionOf(node.operation).compute(node.operation, {
          inputs: node.inputs.map(value),
          parameter: (name) => parameter(`${node.name}/${name}`),
        });
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

  function convolution(node: ConvNode, x: tf.Tensor): tf.Tensor {
    const site = `${node.name}/kernel`;
    const kernel = parameter(site);
    if (node.foldedBatchNorm === undefined) {
      const y = convolve(node, x, options.quantize(site, kernel));
      return node.bias ? tf.add(y, bias(node, kernel, parameter(`${node.name}/bias`))) : y;
    }
    const name = node.foldedBatchNorm;
    const batchNorm = batchNormParameters(name);
    const perFilter = (factor: tf.Tensor) =>
      tf.mul(kernel, node.depthwise ? tf.reshape(factor, [1, 1, -1, 1]) : factor);
    const runningFactor = foldFactor(batchNorm);
    if (!options.training) {
      const folded = perFilter(runningFactor);
      const y = convolve(node, x, options.quantize(site, folded));
      return tf.add(y, bias(node, folded, foldedBias(batchNorm)));
    }
    return foldedTraining(node.foldStrategy ?? 4, {
      batchNorm,
      convolve: (weights) => convolve(node, x, weights),
      kernel,
      perFilter,
      quantize: (weights) => options.quantize(site, weights),
      update(latest) {
        statistics[`${name}/mean`] = latest.mean;
        statistics[`${name}/variance`] = latest.variance;
      },
    });
  }
}

function convolve(node: ConvNode, x: tf.Tensor, kernel: tf.Tensor): tf.Tensor {
  const { padding: sides, stride, dilation } = windowOf({ ...node, size: node.kernelSize });
  const padding: tf.backend_util.ExplicitPadding = [
    [0, 0],
    [sides[0], sides[2]],
    [sides[1], sides[3]],
    [0, 0],
  ];
  const compute = (part: tf.Tensor, weights: tf.Tensor): tf.Tensor =>
    (node.depthwise ? tf.depthwiseConv2d : tf.conv2d)(
      part as tf.Tensor4D,
      weights as tf.Tensor4D,
      [stride[0], stride[1]],
      padding,
      "NHWC",
      [dilation[0], dilation[1]],
    );
  const { groups = 1 } = node;
  if (groups === 1) return compute(x, kernel);
  const inputs: tf.Tensor4D[] = tf.split(x, groups, 3);
  const kernels: tf.Tensor4D[] = tf.split(kernel, groups, 3);
  return tf.concat(
    inputs.map((part, i) => compute(part, kernels[i] as tf.Tensor4D)),
    3,
  );
}

/** ReLU6 whose gradient is told by its result alone, so that its input need not be kept. */
function relu6(x: tf.Tensor): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [values, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const y = tf.relu6(values);
    save([y]);
    return {
      value: y,
      gradFunc: (dy: tf.Tensor, [result]: tf.Tensor[]) => {
        if (result === undefined) throw new TypeError("ReLU6 saved no result");
        const inside = tf.logicalAnd(tf.greater(result, 0), tf.less(result, 6));
        return tf.mul(dy, tf.cast(inside, "float32"));
      },
    };
  });
  return operation(x);
}

/** As the largest of shifted copies, whose gradients every engine has. */
function maxPool(x: tf.Tensor, node: MaxPoolNode): tf.Tensor {
  // The border is below every value that a network computes, yet finite: no gradient is NaN.
  return shiftedWindows(x, windowOf(node), -1e30).reduce((a, b) => tf.maximum(a, b));
}

/** Gathers channels; the gradient gathers them back. */
function permuteChannels(x: tf.Tensor, order: readonly number[]): tf.Tensor {
  const back = order.map((_, channel) => order.indexOf(channel));
  const gather = (y: tf.Tensor, indices: readonly number[]): tf.Tensor =>
    tf.gather(y as tf.Tensor4D, tf.tensor1d([...indices], "int32"), 3);
  const operation = tf.customGrad<tf.Tensor>((y) => ({
    value: gather(y as tf.Tensor, order),
    gradFunc: (dy: tf.Tensor) => gather(dy, back),
  }));
  return operation(x);
}
