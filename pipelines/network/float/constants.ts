import * as tf from "#tf";
import type { HostTensor } from "../../engine/index.js";
import type { OnnxGraph } from "../../onnx/index.js";
import {
  broadcast,
  first,
  one,
  onnxAxis,
  type Definition,
  type DefinitionOf,
} from "./definition.js";

/** x * factor + shift, one of each for every channel. */
export const channelAffine: DefinitionOf<"channelAffine"> = {
  shape: (_, shapes) => first(shapes),
  compute: (_, { inputs, parameter }) =>
    tf.add(tf.mul(one(inputs), parameter("factor")), parameter("shift")),
  onnx(_, { graph, inputs, shapes, parameter, name }) {
    const vector = (key: string) => {
      const { data } = parameter(key);
      const shape = first(shapes).length === 3 ? [data.length, 1, 1] : [data.length];
      return graph.constant("float32", shape, data);
    };
    const product = graph.add("Mul", [one(inputs), vector("factor")]);
    return graph.add("Add", [product, vector("shift")], {}, name);
  },
  parameters: (_, shapes) => {
    const channels = first(shapes).at(-1) ?? 1;
    return { factor: [channels], shift: [channels] };
  },
};

interface Shaped {
  readonly shape: readonly number[];
}

/** With a constant of the operation's own. */
function withConstant(
  compute: (x: tf.Tensor, constant: tf.Tensor) => tf.Tensor,
  operator: string,
): Definition<Shaped> {
  return {
    shape: ({ shape }, shapes) => broadcast([first(shapes), shape]),
    compute: (_, { inputs, parameter }) => compute(one(inputs), parameter("value")),
    onnx: (_, { graph, inputs, parameter, name }) =>
      graph.add(operator, [one(inputs), onnxConstant(graph, parameter("value"))], {}, name),
    parameters: ({ shape }) => ({ value: shape }),
  };
}

export const addConstant: DefinitionOf<"addConstant"> = withConstant(
  (x, constant) => tf.add(x, constant),
  "Add",
);
export const mulConstant: DefinitionOf<"mulConstant"> = withConstant(
  (x, constant) => tf.mul(x, constant),
  "Mul",
);

/** The input only says how many images there are. */
export const constant: DefinitionOf<"constant"> = {
  shape: ({ shape }) => shape,
  compute({ shape }, { inputs, parameter }) {
    const x = one(inputs);
    const [batch = 1] = x.shape;
    return tf.tile(tf.reshape(parameter("value"), [1, ...shape]), [batch, ...shape.map(() => 1)]);
  },
  onnx({ shape }, { graph, inputs, parameter, name }) {
    const images = graph.add("Shape", inputs, { start: 0, end: 1 });
    const rest = graph.integers(shape.map(() => 1));
    const target = graph.add("Concat", [images, rest], { axis: 0 });
    return graph.add("Expand", [onnxConstant(graph, parameter("value")), target], {}, name);
  },
  parameters: ({ shape }) => ({ value: shape }),
};

/** As the graph has values of as many axes, for one image. */
function onnxConstant(graph: OnnxGraph, { shape, data }: HostTensor): string {
  if (shape.length !== 3) return graph.constant("float32", [1, ...shape], data);
  const [height = 1, width = 1, channels = 1] = shape;
  const area = height * width;
  const turned = Float32Array.from(
    { length: data.length },
    (_, i) => data[(i % area) * channels + Math.floor(i / area)] ?? 0,
  );
  const onnxShape = [1, 1, 1, 1];
  shape.forEach((size, axis) => {
    onnxShape[onnxAxis(axis, 3)] = size;
  });
  return graph.constant("float32", onnxShape, turned);
}
