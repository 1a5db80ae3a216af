import * as tf from "#tf";
import type { FloatOptions } from "../../../algorithms/network.js";
import { windowOf, windowOutput } from "../window.js";
import { shiftedWindows } from "./shiftedWindows.js";
import { first, one, type DefinitionOf } from "./definition.js";

/** Mean over windows. */
export const averagePool: DefinitionOf<"averagePool"> = {
  shape(operation, shapes) {
    const [height = 1, width = 1, channels = 1] = first(shapes);
    return [...windowOutput([height, width], windowOf(operation)), channels];
  },
  compute(operation, { inputs }) {
    const x = one(inputs);
    const window = windowOf(operation);
    const sum = (values: tf.Tensor): tf.Tensor =>
      shiftedWindows(values, window, 0).reduce((a, b) => tf.add(a, b));
    if (operation.countsPadding) return tf.div(sum(x), window.size[0] * window.size[1]);
    const [, height = 1, width = 1] = x.shape;
    return tf.div(sum(x), sum(tf.ones([1, height, width, 1])));
  },
  onnx(operation, { graph, inputs, name }) {
    const { size, stride, padding } = windowOf(operation);
    const attributes = {
      kernel_shape: size,
      strides: stride,
      pads: padding,
      count_include_pad: operation.countsPadding ? 1 : 0,
    };
    return graph.add("AveragePool", inputs, attributes, name);
  },
  negative: () => "kept",
  pools: true,
};

/** Transposed convolution: spreads every pixel over a window of the larger result. */
export const convTranspose: DefinitionOf<"convTranspose"> = {
  shape(operation, shapes) {
    const [height = 1, width = 1] = first(shapes);
    const { size, stride, padding } = windowOf(operation);
    const [top, left, bottom, right] = padding;
    const along = (extent: number, axis: 0 | 1, cut: number) =>
      (extent - 1) * stride[axis] + size[axis] - cut + operation.outputPadding[axis];
    return [along(height, 0, top + bottom), along(width, 1, left + right), operation.filters];
  },
  compute(operation, { inputs, parameter }) {
    const x = one(inputs);
    const { size, stride } = windowOf(operation);
    const [batch = 1, height = 1, width = 1] = x.shape;
    const { filters, groups, padding } = operation;
    const [top, left] = padding;
    const [rows = 1, columns = 1] = convTranspose.shape(operation, [x.shape.slice(1)]);
    // The whole result and then a part of it, as tfjs has no uneven padding of this operation.
    const whole: [number, number, number, number] = [
      batch,
      Math.max((height - 1) * stride[0] + size[0], top + rows),
      Math.max((width - 1) * stride[1] + size[1], left + columns),
      filters / groups,
    ];
    const kernels = tf.split(parameter("kernel"), groups, 3);
    const spread = tf.concat(
      tf.split(x as tf.Tensor4D, groups, 3).map((part, i) => {
        const kernel = kernels[i] as tf.Tensor4D;
        return tf.conv2dTranspose(part as tf.Tensor4D, kernel, whole, [...stride], "valid");
      }),
      3,
    );
    const cut = tf.slice(spread, [0, top, left, 0], [batch, rows, columns, filters]);
    return tf.add(cut, parameter("bias"));
  },
  onnx(operation, { graph, inputs, parameter, name }) {
    const { size, stride, padding } = windowOf(operation);
    const { shape, data } = parameter("kernel");
    const [rows = 1, columns = 1, outputs = 1, channels = 1] = shape;
    const kernel = new Float32Array(data.length); // [channels, outputs, rows, columns]
    for (let i = 0; i < kernel.length; i++) {
      const [column, row] = [i % columns, Math.floor(i / columns) % rows];
      const output = Math.floor(i / (rows * columns)) % outputs;
      const channel = Math.floor(i / (rows * columns * outputs));
      kernel[i] = data[((row * columns + column) * outputs + output) * channels + channel] ?? 0;
    }
    return graph.add(
      "ConvTranspose",
      [
        one(inputs),
        graph.constant("float32", [channels, outputs, rows, columns], kernel),
        graph.constant("float32", [operation.filters], parameter("bias").data),
      ],
      {
        kernel_shape: size,
        strides: stride,
        pads: padding,
        output_padding: operation.outputPadding,
        group: operation.groups,
      },
      name,
    );
  },
  parameters(operation, shapes) {
    const { size } = windowOf(operation);
    return {
      kernel: [...size, operation.filters / operation.groups, first(shapes)[2] ?? 1],
      bias: [operation.filters],
    };
  },
};

/** Another number of rows and columns; coordinates and rounding by the names of ONNX's Resize. */
export const resize: DefinitionOf<"resize"> = {
  shape: ({ height, width }, shapes) => [height, width, first(shapes)[2] ?? 1],
  compute(operation, { inputs }) {
    const x = one(inputs);
    const [batch = 1, height = 1, width = 1, channels = 1] = x.shape;
    // A matrix for each axis: rows and columns are mixed independently.
    const across = tf.matMul(
      tf.reshape(tf.transpose(x, [0, 1, 3, 2]), [batch * height * channels, width]),
      mixing(width, operation.width, operation),
    );
    const byRow = tf.transpose(
      tf.reshape(across, [batch, height, channels, operation.width]),
      [0, 2, 3, 1],
    );
    const down = tf.matMul(
      tf.reshape(byRow, [batch * channels * operation.width, height]),
      mixing(height, operation.height, operation),
    );
    return tf.transpose(
      tf.reshape(down, [batch, channels, operation.width, operation.height]),
      [0, 3, 2, 1],
    );
  },
  onnx(operation, { graph, inputs, shapes, name }) {
    const [height = 1, width = 1] = first(shapes);
    const scales = [1, 1, operation.height / height, operation.width / width];
    return graph.add(
      "Resize",
      [one(inputs), "", graph.constant("float32", [4], scales)],
      {
        mode: operation.mode,
        coordinate_transformation_mode: operation.coordinates,
        nearest_mode: operation.nearest,
      },
      name,
    );
  },
  negative: () => "kept",
};

/** [from, to]: how much of each old pixel is in each new one. */
function mixing(
  from: number,
  to: number,
  { mode, coordinates, nearest }: FloatOptions["resize"],
): tf.Tensor2D {
  const weights = new Float32Array(from * to);
  const add = (pixel: number, target: number, share: number) => {
    const inside = Math.min(Math.max(pixel, 0), from - 1);
    weights[inside * to + target] = (weights[inside * to + target] ?? 0) + share;
  };
  for (let target = 0; target < to; target++) {
    const source = (() => {
      switch (coordinates) {
        case "half_pixel":
          return ((target + 0.5) * from) / to - 0.5;
        case "pytorch_half_pixel":
          return to > 1 ? ((target + 0.5) * from) / to - 0.5 : 0;
        case "asymmetric":
          return (target * from) / to;
        case "align_corners":
          return to > 1 ? (target * (from - 1)) / (to - 1) : 0;
        default:
          return coordinates satisfies never;
      }
    })();
    if (mode === "nearest") add(rounded(source, nearest), target, 1);
    else {
      const below = Math.floor(source);
      add(below, target, 1 - (source - below));
      add(below + 1, target, source - below);
    }
  }
  return tf.tensor2d(weights, [from, to]);
}

function rounded(value: number, mode: FloatOptions["resize"]["nearest"]): number {
  switch (mode) {
    case "floor":
      return Math.floor(value);
    case "ceil":
      return Math.ceil(value);
    case "round_prefer_floor":
      return Math.ceil(value - 0.5);
    case "round_prefer_ceil":
      return Math.floor(value + 0.5);
    default:
      return mode satisfies never;
  }
}
