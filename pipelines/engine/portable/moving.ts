import * as tf from "#tf";
import { sizeOf } from "../engine.js";
import type { Call } from "../trace/program.js";
import type { Assembler, Assembly } from "./assembly.js";
import { stridesOf } from "./strides.js";
import type { Block } from "./memory.js";

/** The tensors that a call reads and gives, in order. */
export function tensorsOf({ inputs, outputs }: Call) {
  const [input] = Object.values(inputs);
  const [output] = outputs;
  if (input === undefined || output === undefined) throw new TypeError("a kernel lacks a tensor");
  return { input, output };
}

/** Copies a whole tensor to a part of another. */
function put(
  assembly: Assembly,
  source: Block,
  shape: readonly number[],
  target: { block: Block; offset: number; strides: readonly number[] },
): void {
  if (sizeOf(shape) > 0) assembly.copy(shape, { block: source, strides: stridesOf(shape) }, target);
}

/** Copies a part of a tensor to a whole one. */
function take(
  assembly: Assembly,
  target: Block,
  shape: readonly number[],
  source: { block: Block; offset: number; strides: readonly number[] },
): void {
  if (sizeOf(shape) > 0) assembly.copy(shape, source, { block: target, strides: stridesOf(shape) });
}

const axisOf = (axis: number, shape: readonly number[]): number =>
  tf.util.parseAxisParam(axis, [...shape])[0] ?? 0;

const concatenate: Assembler = (call, assembly) => {
  const parts = Object.values(call.inputs).filter(({ shape }) => sizeOf(shape) > 0);
  const { output } = tensorsOf(call);
  const stacks = call.kernel === "Pack";
  const { axis } = call.attributes as { axis: number };
  const along = axisOf(axis, output.shape);
  const strides = stridesOf(output.shape);
  const block = assembly.result(call);
  let begin = 0;
  for (const part of parts) {
    const shape = stacks ? part.shape.toSpliced(along, 0, 1) : part.shape;
    const offset = begin * (strides[along] ?? 1);
    put(assembly, assembly.block(part), shape, { block, offset, strides });
    begin += shape[along] ?? 1;
  }
};

const split: Assembler = (call, assembly) => {
  const { input } = tensorsOf(call);
  const { axis } = call.attributes as { axis: number };
  const along = axisOf(axis, input.shape);
  const strides = stridesOf(input.shape);
  let begin = 0;
  call.outputs.forEach((output, i) => {
    const shape = call.kernel === "Unpack" ? output.shape.toSpliced(along, 0, 1) : output.shape;
    const offset = begin * (strides[along] ?? 1);
    const source = { block: assembly.block(input), offset, strides };
    take(assembly, assembly.result(call, i), shape, source);
    begin += shape[along] ?? 1;
  });
};

/** Kernels that copy elements to other places. */
export const moving: Readonly<Record<string, Assembler>> = {
  Concat: concatenate,
  Pack: concatenate,
  SplitV: split,
  Unpack: split,

  Transpose(call, assembly) {
    const { input, output } = tensorsOf(call);
    const { perm } = call.attributes as { perm: number[] };
    const strides = stridesOf(input.shape);
    take(assembly, assembly.result(call), output.shape, {
      block: assembly.block(input),
      offset: 0,
      strides: perm.map((axis) => strides[axis] ?? 1),
    });
  },

  Slice(call, assembly) {
    const { input, output } = tensorsOf(call);
    const { begin, size } = call.attributes as {
      begin: number | number[];
      size: number | number[];
    };
    const [starts = []] = tf.slice_util.parseSliceParams(input, begin, size);
    const strides = stridesOf(input.shape);
    const offset = starts.reduce((sum, start, axis) => sum + start * (strides[axis] ?? 1), 0);
    const block = assembly.block(input);
    take(assembly, assembly.result(call), output.shape, { block, offset, strides });
  },

  Reverse(call, assembly) {
    const { input } = tensorsOf(call);
    const axes = tf.util.parseAxisParam((call.attributes as { dims: number[] }).dims, input.shape);
    let offset = 0;
    const strides = stridesOf(input.shape).map((stride, axis) => {
      if (!axes.includes(axis)) return stride;
      offset += ((input.shape[axis] ?? 1) - 1) * stride;
      return -stride;
    });
    const block = assembly.block(input);
    take(assembly, assembly.result(call), input.shape, { block, offset, strides });
  },

  Tile(call, assembly) {
    const { input } = tensorsOf(call);
    const { reps } = call.attributes as { reps: number[] };
    const strides = stridesOf(input.shape);
    const shape = input.shape.flatMap((size, axis) => [reps[axis] ?? 1, size]);
    const block = assembly.block(input);
    take(assembly, assembly.result(call), shape, {
      ...{ block, offset: 0, strides: strides.flatMap((stride) => [0, stride]) },
    });
  },

  BroadcastTo(call, assembly) {
    const { input, output } = tensorsOf(call);
    const added = output.shape.length - input.shape.length;
    const shape = [...Array<number>(added).fill(1), ...input.shape];
    const strides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
    const block = assembly.block(input);
    take(assembly, assembly.result(call), output.shape, { block, offset: 0, strides });
  },

  PadV2(call, assembly) {
    const { input, output } = tensorsOf(call);
    const { paddings, constantValue } = call.attributes as {
      paddings: [number, number][];
      constantValue: number;
    };
    const strides = stridesOf(output.shape);
    const block = assembly.result(call);
    assembly.call("fill", block, sizeOf(output.shape), constantValue);
    const offset = paddings.reduce((sum, [before], axis) => sum + before * (strides[axis] ?? 1), 0);
    put(assembly, assembly.block(input), input.shape, { block, offset, strides });
  },

  GatherV2(call, assembly) {
    const { x, indices } = call.inputs;
    const { axis, batchDims } = call.attributes as { axis: number; batchDims: number };
    if (batchDims !== 0)
      throw new RangeError(`gather: batchDims must be 0, got ${String(batchDims)}`);
    if (x === undefined || indices === undefined) throw new TypeError("gather lacks a tensor");
    const along = axisOf(axis, x.shape);
    assembly.call(
      "gather",
      ...[assembly.block(x), assembly.block(indices), assembly.result(call)],
      ...[sizeOf(x.shape.slice(0, along)), x.shape[along] ?? 1, sizeOf(x.shape.slice(along + 1))],
      sizeOf(indices.shape),
    );
  },

  OneHot(call, assembly) {
    const { input } = tensorsOf(call);
    const { depth, onValue, offValue } = call.attributes as Record<string, number>;
    assembly.call(
      "oneHot",
      ...[assembly.block(input), assembly.result(call), sizeOf(input.shape)],
      ...[depth ?? 0, onValue ?? 1, offValue ?? 0],
    );
  },
};
