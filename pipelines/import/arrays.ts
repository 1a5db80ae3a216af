import { sizeOf } from "../engine/index.js";
import type { Constant } from "./tensor.js";

/** Distances between neighbors along each axis of a row-major array. */
export const stridesOf = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

export interface Steps {
  readonly shape: readonly number[];
  /** How far apart neighbors along each axis lie in the data; 0 repeats. */
  readonly strides: readonly number[];
  readonly offset?: number;
}

/** The values that lie at regular distances, in row-major order of the wanted shape. */
export function strided(
  data: ArrayLike<number>,
  { shape, strides, offset = 0 }: Steps,
): Float32Array | Float64Array {
  const result =
    data instanceof Float32Array
      ? new Float32Array(sizeOf(shape))
      : new Float64Array(sizeOf(shape));
  if (shape.length === 0) {
    result[0] = data[offset] ?? 0;
    return result;
  }
  const last = shape.length - 1;
  const [extent, step] = [shape[last] ?? 0, strides[last] ?? 0];
  let written = 0;
  const visit = (axis: number, from: number): void => {
    if (axis === last) {
      for (let i = 0, at = from; i < extent; i++, at += step) result[written++] = data[at] ?? 0;
      return;
    }
    const distance = strides[axis] ?? 0;
    for (let i = 0; i < (shape[axis] ?? 0); i++) visit(axis + 1, from + i * distance);
  };
  visit(0, offset);
  return result;
}

/** Rows and columns of a block of a matrix that fits the nearest caches, turned. */
const BLOCK = 32;

/** A matrix turned block by block: column by column each value would come from another line of the cache. */
function turned({ shape: [rows = 0, columns = 0], data, ...rest }: Constant): Constant {
  const result = new Float32Array(data.length);
  for (let top = 0; top < rows; top += BLOCK)
    for (let left = 0; left < columns; left += BLOCK) {
      const [bottom, right] = [Math.min(top + BLOCK, rows), Math.min(left + BLOCK, columns)];
      for (let column = left; column < right; column++)
        for (let row = top; row < bottom; row++)
          result[column * rows + row] = data[row * columns + column] ?? 0;
    }
  return { ...rest, shape: [columns, rows], data: result };
}

/** Axis i of the result is axis order[i]. */
export function transposed(constant: Constant, order: readonly number[]): Constant {
  if (order.join() === "1,0" && constant.data instanceof Float32Array) return turned(constant);
  const strides = stridesOf(constant.shape);
  const pick = (list: readonly number[]) => order.map((axis) => list[axis] ?? 1);
  const shape = pick(constant.shape);
  return { ...constant, shape, data: strided(constant.data, { shape, strides: pick(strides) }) };
}

/** The shape that arrays have together. @throws RangeError when they do not fit */
export function commonShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = new Set(shapes.map((shape) => shape[axis - rank + shape.length] ?? 1));
    sizes.delete(1);
    const [size = 1, ...others] = sizes;
    if (others.length > 0)
      throw new RangeError(
        `cannot combine constants of ${shapes.map((shape) => `[${shape.join()}]`).join(" and ")}`,
      );
    return size;
  });
}

/** Values of a constant repeated to a larger shape. */
export function expanded(
  { shape, data }: Constant,
  target: readonly number[],
): Float32Array | Float64Array {
  const own = stridesOf(shape);
  const missing = target.length - shape.length;
  const strides = target.map((_, axis) =>
    (shape[axis - missing] ?? 1) === 1 ? 0 : (own[axis - missing] ?? 0),
  );
  return strided(data, { shape: target, strides });
}

/** A bound of a slice: from the end where it is negative, then within the extent. */
export function sliceRange(extent: number, start: number, end: number, step: number) {
  const low = step > 0 ? 0 : -1;
  const high = step > 0 ? extent : extent - 1;
  const bound = (value: number) =>
    Math.min(Math.max(value < 0 ? value + extent : value, low), high);
  // The lowest int64 stands for "past the beginning" where steps go back.
  const begin = Math.max(bound(start), step > 0 ? 0 : -1);
  const stop = step < 0 && end < -extent ? -1 : bound(end);
  return { begin, count: Math.max(0, Math.ceil((stop - begin) / step)) };
}
