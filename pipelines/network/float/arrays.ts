import * as tf from "#tf";
import { sizeOf } from "../../engine/index.js";
import type { FeatureShape } from "../../../algorithms/network.js";
import { first, one, onnxAxis, type DefinitionOf } from "./definition.js";

/** Which axis of an exported value each axis behind the batch is, and back. */
const exportedAxes = (rank: number): number[] =>
  Array.from({ length: rank }, (_, axis) => onnxAxis(axis, rank));

const isInOrder = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);

export const rearrange: DefinitionOf<"rearrange"> = {
  shape({ order, shape }, shapes) {
    const given = first(shapes);
    if (!isInOrder(order.toSorted((a, b) => a - b)) || order.length !== given.length)
      throw new RangeError(`cannot reorder the axes of [${given.join()}] by [${order.join()}]`);
    if (sizeOf(shape) !== sizeOf(given))
      throw new RangeError(`cannot make [${shape.join()}] of [${given.join()}]`);
    return shape;
  },
  compute({ order, shape }, { inputs }) {
    const x = one(inputs);
    const turned = isInOrder(order) ? x : tf.transpose(x, [0, ...order.map((axis) => axis + 1)]);
    return tf.reshape(turned, [x.shape[0], ...shape]);
  },
  onnx({ order, shape }, { graph, inputs, shapes, name }) {
    const from = exportedAxes(first(shapes).length);
    const read = [0, ...order.map((axis) => from[axis] ?? 1)];
    const turned = isInOrder(read) ? one(inputs) : graph.add("Transpose", inputs, { perm: read });
    const target = graph.integers([0, ...shape]);
    if (shape.length !== 3) return graph.add("Reshape", [turned, target], {}, name);
    const reshaped = graph.add("Reshape", [turned, target]);
    return graph.add("Transpose", [reshaped], { perm: [0, 3, 1, 2] }, name);
  },
  negative: () => "kept",
  moves: true,
};

/** Behind one another along an axis. */
export const join: DefinitionOf<"join"> = {
  shape({ axis }, shapes) {
    const rest = (shape: FeatureShape) => shape.map((size, i) => (i === axis ? 0 : size)).join();
    if (shapes.some((shape) => rest(shape) !== rest(first(shapes))))
      throw new RangeError(
        `cannot join ${shapes.map((shape) => `[${shape.join()}]`).join(" and ")} along axis ${String(axis)}`,
      );
    const length = shapes.reduce((sum, shape) => sum + (shape[axis] ?? 0), 0);
    return first(shapes).map((size, i) => (i === axis ? length : size));
  },
  compute: ({ axis }, { inputs }) => tf.concat([...inputs], axis + 1),
  onnx: ({ axis }, { graph, inputs, shapes, name }) =>
    graph.add("Concat", inputs, { axis: onnxAxis(axis, first(shapes).length) }, name),
  negative: () => "kept",
  moves: true,
};

const OPERATORS = { mean: "ReduceMean", sum: "ReduceSum", max: "ReduceMax" } as const;

export const reduce: DefinitionOf<"reduce"> = {
  shape: ({ axes }, shapes) => first(shapes).map((size, i) => (axes.includes(i) ? 1 : size)),
  compute({ by, axes }, { inputs }) {
    const at = axes.map((axis) => axis + 1);
    return tf[by](one(inputs), at, true);
  },
  onnx({ by, axes }, { graph, inputs, shapes, name }) {
    const at = graph.integers(axes.map((axis) => onnxAxis(axis, first(shapes).length)));
    return graph.add(OPERATORS[by], [one(inputs), at], {}, name);
  },
  negative: () => "kept",
};

export const normalize: DefinitionOf<"normalize"> = {
  shape: (_, shapes) => first(shapes),
  compute({ axes, epsilon }, { inputs }) {
    const at = axes.map((axis) => axis + 1);
    const x = one(inputs);
    const centered = tf.sub(x, tf.mean(x, at, true));
    const variance = tf.mean(tf.square(centered), at, true);
    return tf.mul(centered, tf.rsqrt(tf.add(variance, epsilon)));
  },
  onnx({ axes, epsilon }, { graph, inputs, shapes, name }) {
    const at = graph.integers(axes.map((axis) => onnxAxis(axis, first(shapes).length)));
    const x = one(inputs);
    const centered = graph.add("Sub", [x, graph.add("ReduceMean", [x, at])]);
    const squares = graph.add("Mul", [centered, centered]);
    const variance = graph.add("ReduceMean", [squares, at]);
    const deviation = graph.add("Sqrt", [graph.add("Add", [variance, graph.scalar(epsilon)])]);
    return graph.add("Div", [centered, deviation], {}, name);
  },
};

export const matMul: DefinitionOf<"matMul"> = {
  shape(_, [a = [], b = []]) {
    const [rows, inner] = a.slice(-2);
    const [other, columns] = b.slice(-2);
    if (inner !== other || a.slice(0, -2).join() !== b.slice(0, -2).join() || a.length < 2)
      throw new RangeError(`cannot multiply matrices of [${a.join()}] and [${b.join()}]`);
    return [...a.slice(0, -2), rows ?? 1, columns ?? 1];
  },
  compute(_, { inputs: [a, b] }) {
    const [left, right] = [a as tf.Tensor, b as tf.Tensor];
    const flat = (x: tf.Tensor) => tf.reshape(x, [-1, ...x.shape.slice(-2)]);
    const product = tf.matMul(flat(left), flat(right));
    return tf.reshape(product, [...left.shape.slice(0, -1), right.shape.at(-1) ?? 1]);
  },
  onnx(_, { graph, inputs, shapes, name }) {
    if (first(shapes).length !== 3) return graph.add("MatMul", inputs, {}, name);
    const last = inputs.map((x) => graph.add("Transpose", [x], { perm: [0, 2, 3, 1] }));
    const product = graph.add("MatMul", last);
    return graph.add("Transpose", [product], { perm: [0, 3, 1, 2] }, name);
  },
};
