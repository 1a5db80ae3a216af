import * as tf from "#tf";
import { sizeOf } from "../../engine/index.js";
import { first, one, onnxAxis, type DefinitionOf } from "./definition.js";

/** All values of an image behind one another: channel by channel, as ONNX flattens NCHW, or pixel by pixel. */
export const flatten: DefinitionOf<"flatten"> = {
  shape: (_, shapes) => [sizeOf(first(shapes))],
  compute({ channelsLast = false }, { inputs }) {
    const x = one(inputs);
    const ordered = x.rank < 4 || channelsLast ? x : tf.transpose(x, [0, 3, 1, 2]);
    return tf.reshape(ordered, [x.shape[0], sizeOf(x.shape.slice(1))]);
  },
  onnx({ channelsLast = false }, { graph, inputs, shapes, name }) {
    const turned = channelsLast && first(shapes).length === 3;
    const x = turned ? graph.add("Transpose", inputs, { perm: [0, 2, 3, 1] }) : one(inputs);
    return graph.add("Flatten", [x], {}, name);
  },
  negative: () => "kept",
  moves: true,
};

/** Features as an image of one pixel. */
export const pixel: DefinitionOf<"pixel"> = {
  shape: (_, shapes) => [1, 1, ...first(shapes)],
  compute(_, { inputs }) {
    const x = one(inputs);
    const [batch = 1, channels = 1] = x.shape;
    return tf.reshape(x, [batch, 1, 1, channels]);
  },
  onnx: (_, { graph, inputs, name }) =>
    graph.add("Unsqueeze", [one(inputs), graph.integers([2, 3])], {}, name),
  negative: () => "kept",
  moves: true,
};

/** A part along one axis of [height, width, channels]. */
export const slice: DefinitionOf<"slice"> = {
  shape({ axis, begin, size }, shapes) {
    const shape = first(shapes);
    if (begin < 0 || size < 1 || begin + size > (shape[axis] ?? 0))
      throw new RangeError(
        `cannot take ${String(size)} from ${String(begin)} on of axis ${String(axis)} of [${shape.join()}]`,
      );
    return shape.map((extent, i) => (i === axis ? size : extent));
  },
  compute({ axis, begin, size }, { inputs }) {
    const x = one(inputs);
    const sizes = x.shape.map((extent, i) => (i === axis + 1 ? size : extent));
    const begins = x.shape.map((_, i) => (i === axis + 1 ? begin : 0));
    return tf.slice(x, begins, sizes);
  },
  onnx({ axis, begin, size }, { graph, inputs, shapes, name }) {
    const at = onnxAxis(axis, first(shapes).length);
    const bounds = [[begin], [begin + size], [at]].map((values) => graph.integers(values));
    return graph.add("Slice", [one(inputs), ...bounds], {}, name);
  },
  negative: () => "kept",
  moves: true,
};

/** Constant values around an image. */
export const pad: DefinitionOf<"pad"> = {
  shape({ padding: [top, left, bottom, right] }, shapes) {
    const [height = 1, width = 1, channels = 1] = first(shapes);
    return [height + top + bottom, width + left + right, channels];
  },
  compute({ padding: [top, left, bottom, right], value }, { inputs }) {
    const sides: [number, number][] = [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ];
    return tf.pad(one(inputs), sides, value);
  },
  onnx({ padding: [top, left, bottom, right], value }, { graph, inputs, name }) {
    const pads = graph.integers([0, 0, top, left, 0, 0, bottom, right]);
    return graph.add("Pad", [one(inputs), pads, graph.scalar(value)], {}, name);
  },
  negative: ({ value }) => (value >= 0 ? "kept" : "possible"),
};
