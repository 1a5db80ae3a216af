import { sizeOf } from "../../engine/index.js";
import { expanded, commonShape, sliceRange, strided, stridesOf, transposed } from "../arrays.js";
import {
  constantValue,
  type OperatorReader,
  type OperatorReaders,
  type Source,
  type Value,
} from "../importing.js";
import { isFloatType, type Constant } from "../tensor.js";
import { arithmetic } from "./constantArithmetic.js";
import { places } from "./constantPlaces.js";

/** The batch, which is not known, in shapes that a graph computes with. */
export const ANY_BATCH = -1;

/** Values that a constant may have which a graph makes, not the file. */
const MAX_MADE = 2 ** 24;

/** Operators on constants: how graphs compute shapes. Each is tried where all inputs are constant. */
export const onConstants: OperatorReaders = {
  ...arithmetic,
  ...places,
  Constant(source) {
    const tensor = source.tensor("value");
    if (tensor !== undefined) return { kind: "constant", constant: tensor };
    const integers = source.ints("value_ints");
    if (integers !== undefined && integers.length > 0)
      return constantValue([integers.length], integers, true);
    const floats = source.floats("value_floats") ?? [];
    if (floats.length > 0) return constantValue([floats.length], floats);
    const single = source.float("value_float", NaN);
    if (!Number.isNaN(single) && single !== 0) return constantValue([], [single]);
    return constantValue([], [source.int("value_int", 0)], source.hasAttribute("value_int"));
  },
  Identity: (source) => source.input(0),
  Cast(source) {
    const { shape, data } = source.constant(0);
    if (isFloatType(source.int("to", 1))) return constantValue(shape, data);
    return constantValue(shape, Float64Array.from(data, Math.trunc), true);
  },
  Shape(source) {
    const { shape } = source.constant(0);
    const part = shape.slice(source.int("start", 0), source.int("end", shape.length));
    return constantValue([part.length], part, true);
  },
  Size: (source) => constantValue([], [sizeOf(source.constant(0).shape)], true),
  Gather(source) {
    const [table, indices] = [source.constant(0), source.constant(1)];
    const axis = resolved(source.int("axis", 0), table.shape.length);
    const extent = table.shape[axis] ?? 1;
    const inner = sizeOf(table.shape.slice(axis + 1));
    const outer = sizeOf(table.shape.slice(0, axis));
    const chosen = Array.from(indices.data, (index) => (index < 0 ? index + extent : index));
    const wrong = chosen.find((index) => index < 0 || index >= extent);
    if (wrong !== undefined)
      source.fail(`takes value ${String(wrong)} of ${String(extent)} along axis ${String(axis)}`);
    const data = new Float64Array(outer * chosen.length * inner);
    let written = 0;
    for (let before = 0; before < outer; before++)
      for (const index of chosen)
        for (let after = 0; after < inner; after++)
          data[written++] = table.data[(before * extent + index) * inner + after] ?? 0;
    const shape = [...table.shape.slice(0, axis), ...indices.shape, ...table.shape.slice(axis + 1)];
    return constantValue(shape, data, table.integer);
  },
  Concat(source) {
    const parts = source.node.input.map((_, i) => source.constant(i));
    const values = parts.reduce((sum, { data }) => sum + data.length, 0);
    if (values > MAX_MADE) source.fail(`joins ${String(values)} values, which are too many`);
    return { kind: "constant", constant: joined(parts, source.int("axis", 0)) };
  },
  Slice(source) {
    const whole = source.constant(0);
    const { starts, ends, axes, steps } = sliceOf(source, whole.shape.length);
    const strides = stridesOf(whole.shape);
    const shape = [...whole.shape];
    let offset = 0;
    axes.forEach((axis, i) => {
      const step = steps[i] ?? 1;
      const { begin, count } = sliceRange(shape[axis] ?? 1, starts[i] ?? 0, ends[i] ?? 0, step);
      offset += begin * (strides[axis] ?? 0);
      shape[axis] = count;
      strides[axis] = (strides[axis] ?? 0) * step;
    });
    return constantValue(shape, strided(whole.data, { shape, strides, offset }), whole.integer);
  },
  Unsqueeze: reshaped((shape, axes) => {
    const rank = shape.length + axes.length;
    const at = axes.map((axis) => resolved(axis, rank));
    const rest = [...shape];
    return Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : (rest.shift() ?? 1)));
  }),
  Squeeze: reshaped((shape, axes) => {
    const at = axes.map((axis) => resolved(axis, shape.length));
    return shape.filter((size, i) => (at.length === 0 ? size !== 1 : !at.includes(i)));
  }),
  Flatten: reshaped((shape) => [shape[0] ?? 1, sizeOf(shape.slice(1))]),
  Reshape(source) {
    const { data, shape, integer } = source.constant(0);
    const wanted = Array.from(source.constant(1).data, (size, i) =>
      size === 0 && source.int("allowzero", 0) === 0 ? (shape[i] ?? 0) : size,
    );
    const known = sizeOf(wanted.filter((size) => size > 0));
    return constantValue(
      wanted.map((size) => (size === -1 ? data.length / known : size)),
      data,
      integer,
    );
  },
  Transpose(source) {
    const constant = source.constant(0);
    const perm = source.ints("perm") ?? constant.shape.map((_, i) => i).toReversed();
    return { kind: "constant", constant: transposed(constant, perm) };
  },
  ConstantOfShape(source) {
    const value = source.tensor("value");
    const shape = madeShape(source, Array.from(source.constant(0).data));
    const data = new Float64Array(sizeOf(shape)).fill(value?.data[0] ?? 0);
    return constantValue(shape, data, value?.integer);
  },
  Expand(source) {
    const constant = source.constant(0);
    const wanted = madeShape(source, Array.from(source.constant(1).data));
    const shape = commonShape([constant.shape, wanted]);
    return constantValue(shape, expanded(constant, shape), constant.integer);
  },
  Tile(source) {
    const { shape, data, integer } = source.constant(0);
    const repeats = Array.from(source.constant(1).data);
    const target = madeShape(
      source,
      shape.flatMap((size, axis) => [repeats[axis] ?? 1, size]),
    );
    const strides = stridesOf(shape).flatMap((stride) => [0, stride]);
    const result = shape.map((_, axis) => (target[2 * axis] ?? 1) * (target[2 * axis + 1] ?? 1));
    return constantValue(result, strided(data, { shape: target, strides }), integer);
  },
  Range(source) {
    const [start = 0, limit = 0, step = 1] = [0, 1, 2].map((i) => source.constant(i).data[0] ?? 0);
    const count = Math.max(0, Math.ceil((limit - start) / step));
    const [length = 0] = madeShape(source, [count]);
    const data = Float64Array.from({ length }, (_, i) => start + i * step);
    return constantValue([length], data, source.constant(0).integer);
  },
};

export const resolved = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** A shape to be filled, with one image for the batch; @throws Error when it is too large */
function madeShape(source: Source, wanted: readonly number[]): number[] {
  const shape = wanted.map((size, axis) => (axis === 0 && size === ANY_BATCH ? 1 : size));
  if (sizeOf(shape) > MAX_MADE || shape.some((size) => size < 0))
    source.fail(`makes a constant of [${shape.join()}], which is too large`);
  return shape;
}

function joined(parts: readonly Constant[], wantedAxis: number): Constant {
  const rank = parts[0]?.shape.length ?? 0;
  const axis = resolved(wantedAxis, rank);
  const outer = sizeOf((parts[0]?.shape ?? []).slice(0, axis));
  const blocks = parts.map(({ data }) => data.length / Math.max(1, outer));
  const data: number[] = [];
  for (let i = 0; i < outer; i++)
    parts.forEach((part, p) => {
      const size = blocks[p] ?? 0;
      for (let k = 0; k < size; k++) data.push(part.data[i * size + k] ?? 0);
    });
  const length = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
  const shape = (parts[0]?.shape ?? []).map((size, i) => (i === axis ? length : size));
  return { shape, data, integer: parts.every(({ integer }) => integer) };
}

/** The bounds of a slice, attributes until opset 9 and inputs from then on. */
export function sliceOf(source: Source, rank: number) {
  const list = (name: string, index: number): number[] | undefined =>
    source.ints(name) ?? (source.has(index) ? Array.from(source.constant(index).data) : undefined);
  const starts = list("starts", 1) ?? [];
  const axes = list("axes", 3) ?? starts.map((_, i) => i);
  return {
    starts,
    ends: list("ends", 2) ?? [],
    axes: axes.map((axis) => resolved(axis, rank)),
    steps: list("steps", 4) ?? starts.map(() => 1),
  };
}

function reshaped(
  shapeOf: (shape: readonly number[], axes: readonly number[]) => number[],
): OperatorReader {
  return (source): Value => {
    const { shape, data, integer } = source.constant(0);
    return constantValue(shapeOf(shape, axesOf(source)), data, integer);
  };
}

/** An attribute until opset 12, an input from then on. */
export const axesOf = (source: Source): number[] =>
  source.ints("axes") ?? Array.from(source.optionalConstant(1)?.data ?? []);
