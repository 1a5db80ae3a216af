import * as tf from "#tf";
import type { FeatureShape } from "../../../algorithms/network.js";
import { first, one, type Definition, type DefinitionOf } from "./definition.js";

const sameShape = (_: unknown, shapes: readonly FeatureShape[]): FeatureShape => first(shapes);

function unary(compute: (x: tf.Tensor) => tf.Tensor, operator: string): Definition<object> {
  return {
    shape: sameShape,
    compute: (_, { inputs }) => compute(one(inputs)),
    onnx: (_, { graph, inputs, name }) => graph.add(operator, inputs, {}, name),
  };
}

export const sigmoid: DefinitionOf<"sigmoid"> = {
  ...unary((x) => tf.sigmoid(x), "Sigmoid"),
  negative: () => "never",
};
export const tanh: DefinitionOf<"tanh"> = { ...unary((x) => tf.tanh(x), "Tanh") };

/** x * min(max(x / 6 + 1 / 2, 0), 1) */
export const hardSwish: DefinitionOf<"hardSwish"> = unary(
  (x) => tf.mul(x, tf.clipByValue(tf.add(tf.mul(x, 1 / 6), 0.5), 0, 1)),
  "HardSwish",
);

/** min(max(alpha x + beta, 0), 1) */
export const hardSigmoid: DefinitionOf<"hardSigmoid"> = {
  shape: sameShape,
  compute: ({ alpha, beta }, { inputs }) =>
    tf.clipByValue(tf.add(tf.mul(one(inputs), alpha), beta), 0, 1),
  onnx: ({ alpha, beta }, { graph, inputs, name }) =>
    graph.add("HardSigmoid", inputs, { alpha: { float: alpha }, beta: { float: beta } }, name),
  negative: () => "never",
};

export const clip: DefinitionOf<"clip"> = {
  shape: sameShape,
  compute: ({ min, max }, { inputs }) => tf.clipByValue(one(inputs), min, max),
  onnx: ({ min, max }, { graph, inputs, name }) =>
    graph.add("Clip", [one(inputs), graph.scalar(min), graph.scalar(max)], {}, name),
  negative: ({ min }) => (min >= 0 ? "never" : "possible"),
};

export const leakyRelu: DefinitionOf<"leakyRelu"> = {
  shape: sameShape,
  compute({ slope }, { inputs }) {
    const x = one(inputs);
    return tf.sub(tf.relu(x), tf.mul(tf.relu(tf.neg(x)), slope));
  },
  onnx: ({ slope }, { graph, inputs, name }) =>
    graph.add("LeakyRelu", inputs, { alpha: { float: slope } }, name),
};

/** Over the channels. */
export const softmax: DefinitionOf<"softmax"> = {
  shape: sameShape,
  compute(_, { inputs }) {
    const x = one(inputs);
    const axis = x.rank - 1;
    const exponents = tf.exp(tf.sub(x, tf.max(x, axis, true)));
    return tf.div(exponents, tf.sum(exponents, axis, true));
  },
  onnx: (_, { graph, inputs, name }) => graph.add("Softmax", inputs, { axis: 1 }, name),
  negative: () => "never",
};

/** Elementwise; an axis of size 1 is repeated. */
export const mul: DefinitionOf<"mul"> = {
  shape: (_, shapes) => broadcast(shapes),
  compute: (_, { inputs: [a, b] }) => tf.mul(a as tf.Tensor, b as tf.Tensor),
  onnx: (_, { graph, inputs, name }) => graph.add("Mul", inputs, {}, name),
  negative: () => "kept",
};

/** x * factor + shift, one of each for every channel. */
export const channelAffine: DefinitionOf<"channelAffine"> = {
  shape: sameShape,
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

function broadcast(shapes: readonly FeatureShape[]): FeatureShape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = new Set(
      shapes.map((shape) => (shape.length === rank ? (shape[axis] ?? 1) : NaN)),
    );
    sizes.delete(1);
    const [size = 1, ...others] = sizes;
    if (others.length > 0 || Number.isNaN(size))
      throw new RangeError(
        `cannot multiply ${shapes.map((shape) => `[${shape.join()}]`).join(" and ")}`,
      );
    return size;
  });
}
