import { sizeOf } from "../../engine/index.js";
import { axisOf, batchesOf, dimensionsOf, rankOf, resolvedAxis, type Feature } from "../feature.js";
import { constantValue, type OperatorReaders, type Source, type Value } from "../importing.js";
import { described, flattened, pixel, reshaped, withoutAxes } from "../views.js";
import { alongAxis } from "../movedBatch.js";
import { ANY_BATCH, axesOf } from "./constants.js";
import { readShuffle } from "./shuffle.js";

/** What gives values other axes, and what asks for shapes. */
export const shapes: OperatorReaders = {
  Shape(source) {
    const x = source.feature(0);
    const shape = [ANY_BATCH * batchesOf(x), ...dimensionsOf(x)];
    const part = shape.slice(source.int("start", 0), source.int("end", shape.length));
    return constantValue([part.length], part, true);
  },
  Flatten(source) {
    const x = source.feature(0);
    const axis = resolvedAxis(source.int("axis", 1), x);
    if (axis === 1) return reshaped(source, x, [sizeOf(dimensionsOf(x))], x.folded);
    const before = dimensionsOf(x).slice(0, axis - 1);
    const rest = sizeOf(dimensionsOf(x)) / sizeOf(before);
    if (axis < 1) source.fail(`flattens the batch of ${described(x)}`);
    return reshaped(source, x, [sizeOf(before) * batchesOf(x), rest], 1);
  },
  Reshape: readReshape,
  Squeeze(source) {
    const [axis] = axesOf(source);
    if (source.input(0).kind === "moved" && axis !== undefined) {
      const { x: whole, without } = alongAxis(source, axis);
      return without(whole);
    }
    const x = source.feature(0);
    const named = axesOf(source).map((axis) => resolvedAxis(axis, x));
    const sizes = dimensionsOf(x);
    const axes = named.length > 0 ? named : sizes.flatMap((size, i) => (size === 1 ? [i + 1] : []));
    if (axes.some((axis) => axis < 1 || sizes[axis - 1] !== 1))
      source.fail(`drops axes [${axes.join()}] of ${described(x)}`);
    const mergeable = source.importing.isReadOnce(source.node.input[0] ?? "");
    const own = axes.map((axis) => axisOf(axis, x));
    return withoutAxes(source, x, own, mergeable);
  },
  Unsqueeze(source) {
    const x = source.feature(0);
    const rank = rankOf(x) + axesOf(source).length;
    const axes = axesOf(source).map((axis) => (axis < 0 ? axis + rank : axis));
    if (axes.includes(0)) source.fail(`puts an axis before the batch of ${described(x)}`);
    const rest = dimensionsOf(x);
    const sizes = Array.from({ length: rank - 1 }, (_, i) =>
      axes.includes(i + 1) ? 1 : (rest.shift() ?? 1),
    );
    return resized(source, x, sizes);
  },
  Transpose: readTranspose,
  Expand(source) {
    const x = source.feature(0);
    const wanted = Array.from(source.constant(1).data).slice(1);
    if (wanted.some((size, i) => size !== 1 && size !== dimensionsOf(x)[i]))
      source.fail(`repeats ${described(x)} to [${wanted.join()}], which is not supported`);
    return x;
  },
};

/** Other sizes behind the batch, which stays as it is. */
function resized(source: Source, x: Feature, sizes: readonly number[]): Feature {
  if (x.shape.length === 1 && sizes.length === 3 && sizes[1] === 1 && sizes[2] === 1)
    return pixel(source, x);
  const folded = dimensionsOf(x).length < x.axes.length ? [batchesOf(x)] : [];
  return reshaped(source, x, [...folded, ...sizes], folded.length);
}

function readReshape(source: Source): Value {
  const shuffled = readShuffle(source);
  if (shuffled !== undefined) return shuffled;
  const x = source.feature(0);
  const wanted = Array.from(source.constant(1).data);
  const current = dimensionsOf(x);
  const total = sizeOf(current) * batchesOf(x);
  const copies = source.int("allowzero", 0) === 0;
  const rest = wanted.slice(1).map((size, i) => (size === 0 && copies ? (current[i] ?? 0) : size));
  const known = sizeOf(rest.filter((size) => size > 0));
  const batches = batchesWanted(source, { first: wanted[0] ?? 0, rest, total, known, x });
  const sizes = rest.map((size) => (size < 0 ? total / known / batches : size));
  if (wanted.length === 0 || sizeOf(sizes) * batches !== total)
    return source.fail(`makes [${wanted.join()}] of ${described(x)}, which is not supported`);
  if (batches > 1) return reshaped(source, x, [batches, ...sizes], 1);
  if (sizes.length === 1 && x.folded === undefined)
    return flattened(source, x, source.importing.isReadOnce(source.node.input[0] ?? ""));
  if (x.shape.length === 1 && sizes.length === 3 && sizes[1] === 1 && sizes[2] === 1)
    return pixel(source, x);
  return reshaped(source, x, sizes);
}

/** How many times as long as the batch the first axis becomes. */
function batchesWanted(
  source: Source,
  wanted: {
    readonly first: number;
    readonly rest: readonly number[];
    readonly total: number;
    readonly known: number;
    readonly x: Feature;
  },
): number {
  const { first, rest, total, known, x } = wanted;
  if (first === 0) return batchesOf(x);
  if (!rest.some((size) => size < 0)) return total / known;
  if (first < 0) return -first;
  const { batch = 1 } = source.importing.source.input;
  return Math.max(1, Math.floor(first / batch));
}

function readTranspose(source: Source): Value {
  const input = source.input(0);
  const [x, from] =
    input.kind === "moved" ? [input.feature, input.batchAt] : [source.feature(0), 0];
  const rank = rankOf(x);
  const asked = source.ints("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (asked.length !== rank)
    source.fail(`reorders the axes of ${described(x)} by [${asked.join()}]`);
  // As if the batch had been in front before, and were there afterwards.
  const order = asked.filter((axis) => axis !== from);
  const perm = [0, ...order.map((axis) => (axis < from ? axis + 1 : axis))];
  const batchAt = asked.indexOf(from);
  if (batchAt > 0) {
    const windows = x.axes.slice(0, x.folded ?? 0);
    const axes = [...windows, ...perm.slice(1).map((axis) => axisOf(axis, x))];
    return { kind: "moved", feature: { ...x, axes }, batchAt };
  }
  const folded = x.axes.slice(0, x.folded ?? 0);
  return { ...x, axes: [...folded, ...perm.slice(1).map((axis) => axisOf(axis, x))] };
}
