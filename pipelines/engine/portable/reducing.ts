import * as tf from "#tf";
import { sizeOf } from "../engine.js";
import type { Assembler, Assembly } from "./assembly.js";
import type { Block } from "./memory.js";
import { tensorsOf } from "./moving.js";
import { stridesOf } from "./strides.js";

/** Kernels that reduce axes: number of the operation and the result of reducing nothing. */
const OPERATIONS = {
  Sum: [0, 0],
  Mean: [0, 0], // as tfjs has it
  Max: [1, -Infinity],
  Min: [2, Infinity],
  Prod: [3, 1],
  ArgMax: [4, 0],
  ArgMin: [5, 0],
  Any: [1, 0],
  All: [2, 1],
} as const;

const reduce =
  (kernel: keyof typeof OPERATIONS): Assembler =>
  (call, assembly) => {
    const { input, output } = tensorsOf(call);
    const { axis, reductionIndices } = call.attributes as Record<
      string,
      number | number[] | undefined
    >;
    const every = input.shape.map((_, i) => i);
    const axes = tf.util.parseAxisParam(reductionIndices ?? axis ?? every, input.shape);
    const [operation, ofNothing] = OPERATIONS[kernel];
    const length = sizeOf(axes.map((i) => input.shape[i] ?? 1));
    const target = assembly.result(call);
    if (length === 0) {
      assembly.call("fill", target, sizeOf(output.shape), ofNothing);
      return;
    }
    const factor = kernel === "Mean" ? 1 / length : 1;
    const { outer, inner } = surroundings(input.shape, axes);
    if (operation === 0 && outer !== undefined && inner > 1) {
      assembly.call("sumColumns", assembly.block(input), target, outer, length, inner, factor);
      return;
    }
    const source =
      outer !== undefined && inner === 1
        ? assembly.block(input)
        : reducedLast(assembly, input, axes);
    assembly.call("reduceRows", operation, source, target, sizeOf(output.shape), length, factor);
  };

/** Sizes before and behind axes that lie together; nothing before those that do not. */
function surroundings(shape: readonly number[], axes: readonly number[]) {
  const real = axes.filter((axis) => shape[axis] !== 1).sort((a, b) => a - b);
  const [first = 0] = real;
  const last = real.at(-1) ?? -1;
  const between = shape.slice(first, last + 1).filter((size) => size !== 1).length;
  return {
    outer: between === real.length ? sizeOf(shape.slice(0, first)) : undefined,
    inner: sizeOf(shape.slice(last + 1)),
  };
}

function reducedLast(assembly: Assembly, input: tf.TensorInfo, axes: readonly number[]): Block {
  const { shape } = input;
  const order = [...shape.keys()].filter((axis) => !axes.includes(axis)).concat(axes);
  const moved = order.map((axis) => shape[axis] ?? 1);
  const strides = stridesOf(shape);
  const block = assembly.scratch(4 * sizeOf(shape));
  assembly.copy(
    moved,
    { block: assembly.block(input), strides: order.map((axis) => strides[axis] ?? 1) },
    { block, strides: stridesOf(moved) },
  );
  return block;
}

const alongLast =
  (name: "softmax" | "logSoftmax"): Assembler =>
  (call, assembly) => {
    const { input } = tensorsOf(call);
    const length = input.shape.at(-1) ?? 1;
    const rows = sizeOf(input.shape) / length;
    assembly.call(name, assembly.block(input), assembly.result(call), rows, length);
  };

/** Kernels that compute along axes. */
export const reducing: Readonly<Record<string, Assembler>> = {
  ...Object.fromEntries(
    (Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).map((name) => [name, reduce(name)]),
  ),
  Softmax: alongLast("softmax"),
  LogSoftmax: alongLast("logSoftmax"),

  Cumsum(call, assembly) {
    const { input } = tensorsOf(call);
    const { axis, exclusive, reverse } = call.attributes as {
      axis: number;
      exclusive: boolean;
      reverse: boolean;
    };
    const along = tf.util.parseAxisParam(axis, input.shape)[0] ?? 0;
    const { shape } = input;
    assembly.call(
      "cumulate",
      ...[assembly.block(input), assembly.result(call)],
      ...[sizeOf(shape.slice(0, along)), shape[along] ?? 1, sizeOf(shape.slice(along + 1))],
      ...[Number(exclusive), Number(reverse)],
    );
  },

  Bincount(call, assembly) {
    const { x, weights } = call.inputs;
    if (x === undefined || weights === undefined) throw new TypeError("bincount lacks a tensor");
    const { size } = call.attributes as { size: number };
    const isWeighed = sizeOf(weights.shape) > 0;
    assembly.call(
      "countIntegers",
      ...[assembly.block(x), isWeighed ? assembly.block(weights) : 0, assembly.result(call)],
      ...[sizeOf(x.shape), size],
    );
  },
};
