import * as tf from "#tf";
import { registerAdderKernels } from "../adderLayer.js";
import type { TensorFlowBackend } from "./backend.js";
import { registerConvolutionGradients } from "./convolutionGradients.js";
import { RELU6_GRADIENT, RELU_GRADIENT } from "./fuseGradients.js";

/** Registers kernels that tfjs-node lacks, or that are wrong, inexact or slow in it. */
export function registerKernels(): void {
  registerConvolutionGradients();
  registerAdderKernels("tensorflow");
  registerGradient(RELU_GRADIENT, "ReluGrad");
  registerGradient(RELU6_GRADIENT, "Relu6Grad");
  replace("Sum", (sum) => (call) => inTwoParts(sum, call));
  const sum = kernelOf("Sum");
  // tfjs has the mean of no elements at 0, TensorFlow at NaN.
  replace("Mean", (mean) => (call) => inTwoParts(isEmpty(call) ? sum : mean, call));
  // tfjs-node's own makes six passes to keep NaN, and takes 25 times as long.
  replace("Step", (step) => (call) => {
    const { x } = call.inputs as { x: tf.Tensor };
    return call.attrs?.["alpha"] ? step(call) : tf.cast(tf.greater(x, 0), "float32");
  });
}

function kernelOf(name: string): tf.KernelFunc {
  const kernel = tf.getKernel(name, "tensorflow") as tf.KernelConfig | undefined;
  if (kernel === undefined) throw new Error(`tfjs-node has no kernel ${name}`);
  return kernel.kernelFunc;
}

function replace(kernelName: string, better: (own: tf.KernelFunc) => tf.KernelFunc): void {
  const kernelFunc = better(kernelOf(kernelName));
  tf.unregisterKernel(kernelName, "tensorflow");
  tf.registerKernel({ kernelName, backendName: "tensorflow", kernelFunc });
}

const isEmpty = ({ inputs }: Parameters<tf.KernelFunc>[0]): boolean =>
  tf.util.sizeFromShape((inputs as { x: tf.TensorInfo }).x.shape) === 0;

/**
 * TensorFlow adds what lies behind each other along leading axes one by one, so that each sum of
 * a batch loses all bits below its own magnitude. First within images, then over them, costs no
 * more and errs a twentieth as much.
 */
function inTwoParts(
  reduce: tf.KernelFunc,
  { inputs, attrs, backend }: Parameters<tf.KernelFunc>[0],
): tf.TensorInfo {
  const { axis, keepDims } = attrs as unknown as { axis: number | number[]; keepDims: boolean };
  const { x } = inputs as { x: tf.TensorInfo };
  const axes = tf.util.parseAxisParam(axis, x.shape);
  const over = (tensor: tf.TensorInfo, part: number[]): tf.TensorInfo =>
    reduce({ inputs: { x: tensor }, attrs: { axis: part, keepDims }, backend }) as tf.TensorInfo;
  const leading = axes.length > 1 && axes.every((one, i) => one === i);
  if (!leading || axes.length === x.shape.length) return over(x, axes);
  return over(over(x, axes.slice(1)), [0]);
}

/** The gradient of a ReLU, with respect to what it read. */
function registerGradient(kernelName: string, operator: string): void {
  tf.registerKernel({
    kernelName,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend }) => {
      const tensorflow = backend as TensorFlowBackend;
      const { dy, features } = inputs as { dy: tf.TensorInfo; features: tf.TensorInfo };
      const { TF_ATTR_TYPE, TF_FLOAT } = tensorflow.binding;
      const type = { name: "T", type: TF_ATTR_TYPE, value: TF_FLOAT };
      return tensorflow.executeSingleOutput(operator, [type], [dy, features]);
    },
  });
}
