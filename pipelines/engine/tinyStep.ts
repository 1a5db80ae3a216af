import * as tf from "#tf";
import { float32, type Engine, type HostTensors, type StepFunction } from "./engine.js";

const PADDING: tf.backend_util.ExplicitPadding = [
  [0, 0],
  [1, 1],
  [1, 1],
  [0, 0],
];

/**
 * Gradient descent on two small kernels: a convolution of stride 2, whose padding is not TensorFlow's
 * "same", ReLU, a depthwise convolution, and half of the sum of squares.
 */
const step: StepFunction = ({ image, ...kernels }) => {
  const loss = (...[kernel, depthwise]: tf.Tensor[]): tf.Scalar => {
    const x = tf.relu(tf.conv2d(image as tf.Tensor4D, kernel as tf.Tensor4D, 2, PADDING));
    const y = tf.depthwiseConv2d(x, depthwise as tf.Tensor4D, 1, PADDING);
    return tf.mul(tf.sum<tf.Scalar>(tf.square(y)), 0.5);
  };
  const names = ["kernel", "depthwise"] as const;
  const current = names.map((name) => kernels[name] as tf.Tensor);
  const { value, grads } = tf.valueAndGrads(loss)(current);
  const updated = names.map((name, i) => {
    const [weights, gradient] = [current[i] as tf.Tensor, grads[i] as tf.Tensor];
    return [name, tf.sub(weights, tf.mul(gradient, 1 / 32))] as const;
  });
  return { loss: value, ...Object.fromEntries(updated) };
};

const INPUTS: HostTensors = {
  image: float32([-1, 1, 3, 5, 4, -1, 1, 3, 2, 4, -1, 1, 0, 2, 4, -1], [1, 4, 4, 1]),
  kernel: float32([-1, 0, 1, -1, 0, 1, 0, 1, -1, 0, 1, -1, 1, -1, 0, 1, -1, 0], [3, 3, 1, 2]),
  depthwise: float32([-1, 0, 0, 1, 1, -1, 1, -1, -1, 0, 0, 1, 0, 1, 1, -1, -1, 0], [3, 3, 2, 1]),
};

/**
 * In rational numbers, with gradients by central differences, which are exact on a quadratic loss.
 * Every value on the way is a multiple of 1/32 that float32 holds, so that no order of sums matters.
 */
const EXPECTED: Readonly<Record<string, readonly number[]>> = {
  loss: [194],
  kernel: [
    ...[-0.3125, 0.625, 1.3125, -1.625, -2.3125, -0.875, -2.75, -1.5, 0.875],
    ...[1.25, 0.625, -2.25, -0.375, -2.25, -5.5, -4, 0.875, 1.25],
  ],
  depthwise: [
    ...[-0.4375, 0, 0.375, 0.0625, 1, -1, 0.8125, -0.0625, 1.375],
    ...[0, 0.875, -1.1875, -1.25, 1, -0.4375, 1.1875, 0.3125, 0],
  ],
};

/**
 * Trains one small step with explicit padding on an engine.
 *
 * @throws Error when the engine cannot, or what it computes is not the known answer
 */
export async function checkByTinyStep(engine: Engine): Promise<void> {
  const compiled = await engine.compile(step, INPUTS);
  const outputs = await compiled.run(INPUTS);
  await compiled.release();
  for (const [name, values] of Object.entries(EXPECTED)) {
    values.forEach((value, i) => {
      const got = outputs[name]?.data[i];
      if (got !== value)
        throw new Error(
          `it trains wrong: ${name}[${String(i)}] of a known step is ${String(got)}, not ${String(value)}`,
        );
    });
  }
}
