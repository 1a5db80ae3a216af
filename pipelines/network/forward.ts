import * as tf from "#tf";
import type { FloatNode, MaxPoolNode, Network, NetworkNode } from "../../algorithms/network.js";
import { normalizeByBatch, normalizeByRunning } from "./batchNorm.js";
import { convolution } from "./convolution.js";
import { definitionOf } from "./float/index.js";
import { shiftedWindows } from "./float/shiftedWindows.js";
import { batchNormOf, biasOf, type ForwardOptions, type ForwardResult, type Pass } from "./pass.js";
import { windowOf } from "./window.js";

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
  const pass: Pass = {
    options,
    statistics: {},
    image: typeof images === "function" ? images : () => images,
    value(name) {
      const found = values.get(name);
      if (found === undefined) throw new Error(`network reads "${name}" before it is computed`);
      return found;
    },
    parameter(name) {
      const found = options.parameters[name];
      if (found === undefined) throw new Error(`network parameter "${name}" is missing`);
      return found;
    },
  };
  const { after = (_, x) => x } = options;
  for (const node of network.nodes) values.set(node.name, after(node.name, compute(node, pass)));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  return {
    logits: pass.value(last.name) as tf.Tensor2D,
    outputs: values,
    statistics: pass.statistics,
  };
}

function compute(node: NetworkNode, pass: Pass): tf.Tensor {
  const { value, parameter, options } = pass;
  switch (node.op) {
    case "input":
      return pass.image(node.name);
    case "conv2d":
      return convolution(node, pass);
    case "dense": {
      const kernel = parameter(`${node.name}/kernel`);
      const quantized = options.quantize(`${node.name}/kernel`, kernel);
      const product = tf.matMul(value(node.input), quantized);
      return tf.add(product, biasOf(node, pass, { kernel, exact: parameter(`${node.name}/bias`) }));
    }
    case "batchNorm":
      return normalize(node.name, pass, value(node.input));
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
        parameter: (name) => floatParameter(node, name, pass),
      });
    default:
      return node satisfies never;
  }
}

/** What an operation in float learned, on the grid of what it is compared with where it has one. */
function floatParameter({ name, operation }: FloatNode, key: string, pass: Pass): tf.Tensor {
  const id = `${name}/${key}`;
  const given = pass.parameter(id);
  const x = definitionOf(operation).learning?.(given) ?? given;
  if (operation.kind !== "adder" || operation.grid === undefined) return x;
  return pass.options.quantize(operation.grid, x, id);
}

function normalize(name: string, pass: Pass, x: tf.Tensor): tf.Tensor {
  const parameters = batchNormOf(name, pass);
  if (!pass.options.training) return normalizeByRunning(x, parameters);
  const { y, mean, variance } = normalizeByBatch(x, parameters);
  pass.statistics[`${name}/mean`] = mean;
  pass.statistics[`${name}/variance`] = variance;
  return y;
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
