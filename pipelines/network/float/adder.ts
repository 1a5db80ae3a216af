import * as tf from "#tf";
import { adderDistances, adderInputGradient } from "../../engine/index.js";
import type { FeatureShape, FloatOptions } from "../../../algorithms/network.js";
import type { OnnxGraph } from "../../onnx/index.js";
import { windowOf, windowOutput } from "../window.js";
import { first, one, type DefinitionOf } from "./definition.js";

/** Of AdderNet's gradients: a layer's has the norm of this times the root of its size. */
const GRADIENT_SCALE = 0.2;
const LEAST_NORM = 1e-12;
/** The bound of uniform numbers of variance 1; AdderNet's code starts with normal ones. */
const UNIT = Math.sqrt(3);

/**
 * Filters that measure distances in place of products: y = - sum |x - w|; padding counts with |w|. Gradients are
 * AdderNet's (Chen et al., CVPR 2020): of x by differences between -1 and 1, of w by whole differences, and
 * then rescaled for each layer.
 */
export const adder: DefinitionOf<"adder"> = {
  shape(operation, shapes) {
    const [height = 1, width = 1] = first(shapes);
    return [...windowOutput([height, width], windowOf(operation)), operation.filters];
  },
  compute(operation, { inputs, parameter }) {
    const { padding, stride } = windowOf(operation);
    const [top, left, bottom, right] = padding;
    const x = one(inputs);
    const padded = padding.some((side) => side > 0)
      ? tf.pad(x, [
          [0, 0],
          [top, bottom],
          [left, right],
          [0, 0],
        ])
      : x;
    return adderLayer(padded, parameter("kernel"), stride);
  },
  onnx(operation, { graph, inputs, parameter, shapes, name }) {
    const kernel = parameter("kernel").data;
    const taps = adderTaps(graph, {
      ...{ operation, shape: first(shapes), x: one(inputs), zero: graph.scalar(0) },
      filter: (shape, places) => {
        const values = Float32Array.from(places, (place) => kernel[place] ?? NaN);
        return graph.constant("float32", shape, values);
      },
    });
    const [only = ""] = taps;
    return graph.add("Neg", [taps.length === 1 ? only : graph.add("Sum", taps)], {}, name);
  },
  learning: withRescaledGradient,
  starts: { kernel: { uniform: UNIT } },
  parameters(operation, shapes) {
    const { size } = windowOf(operation);
    return { kernel: [...size, first(shapes)[2] ?? 1, operation.filters] };
  },
};

interface Taps {
  readonly operation: FloatOptions["adder"];
  /** Of x: [height, width, channels]. */
  readonly shape: FeatureShape;
  readonly x: string;
  /** What the padding is. */
  readonly zero: string;
  /** A tap's filters as a constant of a shape, from their places in the kernel. */
  readonly filter: (shape: readonly number[], places: readonly number[]) => string;
}

/**
 * The sums of distances of each tap, in standard operators alone, so that every runtime can compute them: a
 * difference of all pixels, channels and filters.
 */
export function adderTaps(graph: OnnxGraph, { operation, shape, x, zero, filter }: Taps): string[] {
  const { size, stride, padding } = windowOf(operation);
  const [, , channels = 1] = shape;
  const [height = 1, width = 1] = adder.shape(operation, [shape]);
  const { filters } = operation;
  const [top, left, bottom, right] = padding;
  const sides = graph.integers([0, 0, top, left, 0, 0, bottom, right]);
  const padded = graph.add("Pad", [x, sides, zero]);
  return Array.from({ length: size[0] * size[1] }, (_, tap) => {
    const [row, column] = [Math.floor(tap / size[1]), tap % size[1]];
    const ends = [row + (height - 1) * stride[0] + 1, column + (width - 1) * stride[1] + 1];
    const pixels = graph.add("Slice", [
      padded,
      ...[[row, column], ends, [2, 3], [...stride]].map((values) => graph.integers(values)),
    ]);
    const apart = graph.add("Unsqueeze", [pixels, graph.integers([1])]);
    const places = Array.from({ length: filters * channels }, (__, i) => {
      const [own, channel] = [Math.floor(i / channels), i % channels];
      return (tap * channels + channel) * filters + own;
    });
    const weights = filter([filters, channels, 1, 1], places);
    const distance = graph.add("Abs", [graph.add("Sub", [apart, weights])]);
    return graph.add("ReduceSum", [distance, graph.integers([2])], { keepdims: 0 });
  });
}

/**
 * @param x [batch, height, width, channels], padded already
 * @param kernel [rows, columns, channels, filters]
 */
export function adderLayer(
  x: tf.Tensor,
  kernel: tf.Tensor,
  strides: readonly [number, number],
): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [input, filter, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    save([input, filter]);
    return {
      value: adderDistances(input, filter, { strides }),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [values, weights] = saved as [tf.Tensor, tf.Tensor];
        return [
          adderInputGradient({ x: values, filter: weights, dy }, { strides }),
          adderFilterGradient({ x: values, filter: weights, dy }, strides),
        ];
      },
    };
  });
  return operation(x, kernel);
}

/** dL/dw = sum G (x - w): a convolution's gradient, less w times the sum of G. */
export function adderFilterGradient(
  { x, filter, dy }: Readonly<Record<"x" | "filter" | "dy", tf.Tensor>>,
  strides: readonly [number, number],
): tf.Tensor {
  const products: tf.Tensor = tf
    .engine()
    .runKernel(
      "Conv2DBackpropFilter",
      { x, dy },
      { strides: [...strides], pad: "valid", dataFormat: "NHWC", filterShape: filter.shape },
    );
  return tf.sub(products, tf.mul(filter, tf.sum(dy, [0, 1, 2])));
}

/** The filters of a layer, with a gradient of fixed norm. */
function withRescaledGradient(kernel: tf.Tensor): tf.Tensor {
  const identity = tf.customGrad<tf.Tensor>((x) => ({
    value: tf.clone(x as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => rescaled(dy),
  }));
  return identity(kernel);
}

function rescaled(gradient: tf.Tensor): tf.Tensor {
  const norm = tf.maximum(tf.sqrt(tf.sum(tf.square(gradient))), LEAST_NORM);
  return tf.mul(gradient, tf.div(GRADIENT_SCALE * Math.sqrt(gradient.size), norm));
}
