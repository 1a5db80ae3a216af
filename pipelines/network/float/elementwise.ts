import * as tf from "#tf";
import type { FeatureShape } from "../../../algorithms/network.js";
import {
  broadcast,
  first,
  one,
  onnxAxis,
  type Definition,
  type DefinitionOf,
} from "./definition.js";

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

export const erf: DefinitionOf<"erf"> = unary((x) => tf.erf(x), "Erf");
export const abs: DefinitionOf<"abs"> = {
  ...unary((x) => tf.abs(x), "Abs"),
  negative: () => "never",
};
export const exp: DefinitionOf<"exp"> = {
  ...unary((x) => tf.exp(x), "Exp"),
  negative: () => "never",
};
export const sqrt: DefinitionOf<"sqrt"> = {
  ...unary((x) => tf.sqrt(x), "Sqrt"),
  negative: () => "never",
};
export const softplus: DefinitionOf<"softplus"> = {
  // log(1 + exp x) without overflow.
  ...unary((x) => tf.add(tf.relu(x), tf.log1p(tf.exp(tf.neg(tf.abs(x))))), "Softplus"),
  negative: () => "never",
};

/** x times the normal distribution's share below it (Hendrycks and Gimpel 2016). */
export const gelu: DefinitionOf<"gelu"> = {
  shape: sameShape,
  compute({ approximate }, { inputs }) {
    const x = one(inputs);
    const inner =
      approximate === "tanh"
        ? tf.tanh(
            tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI)),
          )
        : tf.erf(tf.mul(x, Math.SQRT1_2));
    return tf.mul(tf.mul(x, 0.5), tf.add(inner, 1));
  },
  onnx: ({ approximate = "none" }, { graph, inputs, name }) =>
    graph.add("Gelu", inputs, { approximate }, name),
};

/** alpha (exp x - 1) below 0. */
export const elu: DefinitionOf<"elu"> = {
  shape: sameShape,
  compute({ alpha }, { inputs }) {
    const x = one(inputs);
    const below = tf.neg(tf.relu(tf.neg(x)));
    return tf.add(tf.relu(x), tf.mul(tf.sub(tf.exp(below), 1), alpha));
  },
  onnx: ({ alpha }, { graph, inputs, name }) =>
    graph.add("Elu", inputs, { alpha: { float: alpha } }, name),
};

export const softmax: DefinitionOf<"softmax"> = {
  shape: sameShape,
  compute({ axis }, { inputs }) {
    const x = one(inputs);
    const at = axis === undefined ? x.rank - 1 : axis + 1;
    const exponents = tf.exp(tf.sub(x, tf.max(x, at, true)));
    return tf.div(exponents, tf.sum(exponents, at, true));
  },
  onnx({ axis }, { graph, inputs, shapes, name }) {
    const rank = first(shapes).length;
    return graph.add("Softmax", inputs, { axis: onnxAxis(axis ?? rank - 1, rank) }, name);
  },
  negative: () => "never",
};

/** Over the channels. */
export const logSoftmax: DefinitionOf<"logSoftmax"> = {
  shape: sameShape,
  compute(_, { inputs }) {
    const x = one(inputs);
    const axis = x.rank - 1;
    const below = tf.sub(x, tf.max(x, axis, true));
    return tf.sub(below, tf.log(tf.sum(tf.exp(below), axis, true)));
  },
  onnx: (_, { graph, inputs, name }) => graph.add("LogSoftmax", inputs, { axis: 1 }, name),
};

/** Of two values elementwise; an axis of size 1 is repeated. */
function binary(
  compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  operator: string,
): Definition<object> {
  return {
    shape: (_, shapes) => broadcast(shapes),
    compute: (_, { inputs: [a, b] }) => compute(a as tf.Tensor, b as tf.Tensor),
    onnx: (_, { graph, inputs, name }) => graph.add(operator, inputs, {}, name),
  };
}

export const mul: DefinitionOf<"mul"> = {
  ...binary((a, b) => tf.mul(a, b), "Mul"),
  negative: () => "kept",
};
export const div: DefinitionOf<"div"> = {
  ...binary((a, b) => tf.div(a, b), "Div"),
  negative: () => "kept",
};
/** Of any number of values. */
export const sum: DefinitionOf<"sum"> = {
  shape: (_, shapes) => broadcast(shapes),
  compute: (_, { inputs }) => inputs.reduce((a, b) => tf.add(a, b)),
  onnx: (_, { graph, inputs, name }) =>
    graph.add(inputs.length === 2 ? "Add" : "Sum", inputs, {}, name),
  negative: () => "kept",
};
export const sub: DefinitionOf<"sub"> = binary((a, b) => tf.sub(a, b), "Sub");
