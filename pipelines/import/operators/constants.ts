import { sizeOf } from "../../engine/index.js";
import {
  constantValue,
  type OperatorReader,
  type OperatorReaders,
  type Source,
} from "../importing.js";
import type { Constant } from "../tensor.js";

/** The batch, which is not known, in shapes that a graph computes with. */
export const ANY_BATCH = -1;

/** Operators on constants: how graphs compute shapes. Each is tried where all inputs are constant. */
export const onConstants: OperatorReaders = {
  Constant(source) {
    const tensor = source.tensor("value");
    if (tensor !== undefined) return constantValue(tensor.shape, tensor.data);
    const ints = source.ints("value_ints") ?? source.floats("value_floats");
    if (ints !== undefined && ints.length > 0) return constantValue([ints.length], ints);
    const single = source.float("value_float", NaN);
    return constantValue([], [Number.isNaN(single) ? source.int("value_int", 0) : single]);
  },
  Identity: (source) => source.input(0),
  Cast(source) {
    const { shape, data } = source.constant(0);
    const FLOATS = [1, 10, 11, 16];
    const toFloat = FLOATS.includes(source.int("to", 1));
    return constantValue(shape, toFloat ? data : Array.from(data, Math.trunc));
  },
  Gather(source) {
    const [table, indices] = [source.constant(0), source.constant(1)];
    if (table.shape.length !== 1 || source.int("axis", 0) !== 0)
      source.fail("gathers from a constant that is not a list");
    return constantValue(
      indices.shape,
      Array.from(
        indices.data,
        (index) => table.data[index < 0 ? index + table.data.length : index] ?? 0,
      ),
    );
  },
  Concat(source) {
    const parts = source.node.input.map((_, i) => source.constant(i));
    if (parts.some(({ shape }) => shape.length !== 1))
      source.fail("joins constants that are not lists");
    const data = parts.flatMap((part) => Array.from(part.data));
    return constantValue([data.length], data);
  },
  Slice(source) {
    const { shape, data } = source.constant(0);
    if (shape.length !== 1) source.fail("slices a constant that is not a list");
    const bounds = (name: string, index: number) =>
      source.ints(name)?.[0] ?? source.optionalConstant(index)?.data[0];
    if ((source.optionalConstant(4)?.data[0] ?? 1) !== 1) source.fail("slices with steps");
    const part = Array.from(data).slice(bounds("starts", 1), bounds("ends", 2));
    return constantValue([part.length], part);
  },
  Unsqueeze: reshaped((shape, axes) => {
    const rank = shape.length + axes.length;
    const at = axes.map((axis) => (axis < 0 ? axis + rank : axis));
    const rest = [...shape];
    return Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : (rest.shift() ?? 1)));
  }),
  Squeeze: reshaped((shape, axes) => {
    const at = axes.map((axis) => (axis < 0 ? axis + shape.length : axis));
    return shape.filter((size, i) => (at.length === 0 ? size !== 1 : !at.includes(i)));
  }),
  Reshape(source) {
    const { data } = source.constant(0);
    const wanted = Array.from(source.constant(1).data);
    const known = sizeOf(wanted.filter((size) => size > 0));
    return constantValue(
      wanted.map((size) => (size === -1 ? data.length / known : size)),
      data,
    );
  },
  Transpose(source) {
    const { shape, data } = source.constant(0);
    const perm = source.ints("perm") ?? shape.map((_, i) => i).toReversed();
    return transposed({ shape, data }, perm);
  },
  Floor: elementwise((a) => Math.floor(a)),
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise((a, b) => a * b),
  Div: elementwise((a, b) => a / b),
  Sqrt: elementwise((a) => Math.sqrt(a)),
  ConstantOfShape(source) {
    const shape = Array.from(source.constant(0).data);
    if (sizeOf(shape) > 2 ** 20 || shape.some((size) => size < 0))
      source.fail("makes too large a constant");
    const value = source.tensor("value")?.data[0] ?? 0;
    return constantValue(shape, new Float32Array(sizeOf(shape)).fill(value));
  },
};

function reshaped(
  shapeOf: (shape: readonly number[], axes: readonly number[]) => number[],
): OperatorReader {
  return (source) => {
    const { shape, data } = source.constant(0);
    return constantValue(shapeOf(shape, axesOf(source)), data);
  };
}

/** An attribute until opset 12, an input from then on. */
export const axesOf = (source: Source): number[] =>
  source.ints("axes") ?? Array.from(source.optionalConstant(1)?.data ?? []);

function elementwise(compute: (a: number, b: number) => number): OperatorReader {
  return (source) => {
    const a = source.constant(0);
    const b = source.optionalConstant(1) ?? { shape: [], data: [0] };
    const [longer, shorter] = a.data.length >= b.data.length ? [a, b] : [b, a];
    if (shorter.data.length !== 1 && shorter.shape.join() !== longer.shape.join())
      source.fail(`combines constants of [${a.shape.join()}] and [${b.shape.join()}]`);
    const at = ({ data }: Constant, i: number) => data[data.length === 1 ? 0 : i] ?? 0;
    return constantValue(
      longer.shape,
      Float64Array.from(longer.data, (_, i) => compute(at(a, i), at(b, i))),
    );
  };
}

export function transposed({ shape, data }: Constant, perm: readonly number[]) {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const target = perm.map((axis) => shape[axis] ?? 1);
  const index = target.map(() => 0);
  const moved = Float64Array.from({ length: data.length }, () => {
    const at = perm.reduce((sum, axis, i) => sum + (index[i] ?? 0) * (strides[axis] ?? 1), 0);
    for (let axis = target.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (target[axis] ?? 1)) break;
      index[axis] = 0;
    }
    return data[at] ?? 0;
  });
  return constantValue(target, moved);
}
