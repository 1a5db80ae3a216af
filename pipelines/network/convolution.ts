import * as tf from "#tf";
import type { ConvNode } from "../../algorithms/network.js";
import { foldedBias, foldedTraining, foldFactor } from "./batchNorm.js";
import { batchNormOf, biasOf, type Pass } from "./pass.js";
import { windowOf } from "./window.js";

/** A convolution, with the batch norm that was merged into it. */
export function convolution(node: ConvNode, pass: Pass): tf.Tensor {
  const { options, parameter } = pass;
  const x = pass.value(node.input);
  const site = `${node.name}/kernel`;
  const kernel = parameter(site);
  if (node.foldedBatchNorm === undefined) {
    const y = convolve(node, x, options.quantize(site, kernel));
    if (!node.bias) return y;
    return tf.add(y, biasOf(node, pass, { kernel, exact: parameter(`${node.name}/bias`) }));
  }
  const name = node.foldedBatchNorm;
  const batchNorm = batchNormOf(name, pass);
  const perFilter = (factor: tf.Tensor) =>
    tf.mul(kernel, node.depthwise ? tf.reshape(factor, [1, 1, -1, 1]) : factor);
  const runningFactor = foldFactor(batchNorm);
  if (!options.training) {
    const folded = perFilter(runningFactor);
    const y = convolve(node, x, options.quantize(site, folded));
    return tf.add(y, biasOf(node, pass, { kernel: folded, exact: foldedBias(batchNorm) }));
  }
  return foldedTraining(node.foldStrategy ?? 4, {
    batchNorm,
    convolve: (weights) => convolve(node, x, weights),
    kernel,
    perFilter,
    quantize: (weights) => options.quantize(site, weights),
    update(latest) {
      pass.statistics[`${name}/mean`] = latest.mean;
      pass.statistics[`${name}/variance`] = latest.variance;
    },
  });
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
