import type { Sides } from "../../../algorithms/network.js";
import { sliceRange } from "../arrays.js";
import { alignedTo, constantFeature } from "../combining.js";
import { axisOf, dimensionsOf, rankOf, resolvedAxis, type Feature } from "../feature.js";
import type { OperatorReaders, Source, Value } from "../importing.js";
import { selected } from "../selecting.js";
import type { Constant } from "../tensor.js";
import { described } from "../views.js";
import { asStrided } from "../asStrided.js";
import { embedded } from "../embedded.js";
import { alongAxis } from "../movedBatch.js";
import { sliceOf } from "./constants.js";

/** What takes parts of values and puts them together. */
export const parts: OperatorReaders = {
  Slice(source) {
    const input = source.input(0);
    if (input.kind === "moved") return sliceOfMoved(source, rankOf(input.feature));
    const x = source.feature(0);
    const { starts, ends, axes, steps } = sliceOf(source, dimensionsOf(x).length + 1);
    return axes.reduce((value, axis, i) => {
      const extent = dimensionsOf(value)[axis - 1] ?? 0;
      const [start = 0, end = 0, step = 1] = [starts[i], ends[i], steps[i]];
      if (axis === 0) return wholeBatch(source, value, { start, end, step });
      const { begin, count } = sliceRange(extent, start, end, step);
      return part(source, value, { axis, begin, count, step });
    }, x);
  },
  Split(source) {
    const { x, axis, back } = alongAxis(source, source.int("axis", 0));
    const extent = dimensionsOf(x)[axis - 1] ?? 0;
    const count = source.node.output.length;
    const equal = Math.ceil(extent / count);
    const sizes =
      source.ints("split") ??
      (source.has(1) ? Array.from(source.constant(1).data) : undefined) ??
      Array.from({ length: count }, (_, i) => Math.min(equal, extent - i * equal));
    let begin = 0;
    return sizes.map((size) => {
      const feature = part(source, x, { axis, begin, count: size, step: 1 });
      begin += size;
      return back(feature);
    });
  },
  Gather(source) {
    const whole = asStrided(source) ?? embedded(source);
    if (whole !== undefined) return whole;
    const { shape, data } = source.constant(1);
    const { x, axis, back, without } = alongAxis(source, source.int("axis", 0));
    const extent = dimensionsOf(x)[axis - 1] ?? 0;
    const order = Array.from(data, (index) => (index < 0 ? index + extent : index));
    if (axis < 1 || shape.length > 1 || order.some((index) => index < 0 || index >= extent))
      source.fail(`gathers [${order.join()}] along axis ${String(axis)} of ${described(x)}`);
    const feature = gathered(source, x, { axis, order });
    return shape.length === 0 ? without(feature) : back(feature);
  },
  Concat: readConcat,
  Pad: readPad,
};

function sliceOfMoved(source: Source, rank: number): Value {
  const { starts, ends, axes, steps } = sliceOf(source, rank);
  const [place] = axes;
  if (place === undefined || axes.length > 1) return source.fail("slices several axes at once");
  const { x, axis, back } = alongAxis(source, place);
  const [start = 0, end = 0, step = 1] = [starts[0], ends[0], steps[0]];
  const { begin, count } = sliceRange(dimensionsOf(x)[axis - 1] ?? 0, start, end, step);
  return back(part(source, x, { axis, begin, count, step }));
}

/** The batch may be sliced if nothing is taken away. */
function wholeBatch(
  source: Source,
  x: Feature,
  { start, end, step }: { readonly start: number; readonly end: number; readonly step: number },
): Feature {
  if (
    start !== 0 ||
    step !== 1 ||
    (end < 2 ** 31 - 1 && end !== source.importing.source.input.batch)
  )
    source.fail("takes a part of the batch");
  return x;
}

interface Part {
  /** Of the ONNX graph's tensor. */
  readonly axis: number;
  readonly begin: number;
  readonly count: number;
  readonly step: number;
}

function part(source: Source, x: Feature, { axis, begin, count, step }: Part): Feature {
  const at = axisOf(axis, x);
  if (at < 0) source.fail("takes a part of the batch");
  if (count < 1) source.fail(`takes nothing of axis ${String(axis)} of ${described(x)}`);
  const indices = (of: number) => Array.from({ length: of }, (_, i) => begin + i * step);
  if (step === 1) {
    if (begin === 0 && count === x.shape[at]) return x;
    return source.importing.add(
      source.output,
      (name) => ({
        ...{ op: "float", name, inputs: [x.node] },
        operation: { kind: "slice", axis: at, begin, size: count },
      }),
      x,
    );
  }
  if (x.shape.length !== 3 || (at < 2 && step < 0))
    return gathered(source, x, { axis, order: indices(count) });
  const channels = Array.from({ length: x.shape[2] ?? 1 }, (_, i) => i);
  if (at === 2) return selected(source, x, { channels: indices(count), stride: [1, 1] });
  // From the first pixel on, so that the convolution begins there.
  const whole = begin === 0 && Math.ceil((x.shape[at] ?? 1) / step) === count;
  const extent = (count - 1) * step + 1;
  const rest = whole ? x : part(source, x, { axis, begin, count: extent, step: 1 });
  return selected(source, rest, { channels, stride: at === 0 ? [step, 1] : [1, step] });
}

/** Values that an axis keeps for which single ones are taken. */
const MAX_TAKEN = 256;

function gathered(
  source: Source,
  x: Feature,
  { axis, order }: { readonly axis: number; readonly order: readonly number[] },
): Feature {
  const at = axisOf(axis, x);
  const isImage = x.shape.length === 3 && at === 2;
  const all = new Set(order).size === x.shape[at] && order.length === x.shape[at];
  if (isImage && all)
    return source.importing.add(
      source.output,
      (name) => ({ op: "permuteChannels", name, input: x.node, order }),
      x,
    );
  const runs = runsOf(order);
  if (isImage && runs.length > 1) return selected(source, x, { channels: order, stride: [1, 1] });
  if (runs.length > MAX_TAKEN)
    source.fail(
      `takes ${String(runs.length)} parts of ${described(x)}; ${String(MAX_TAKEN)} are supported`,
    );
  const taken = runs.map(({ begin, count }) => part(source, x, { axis, begin, count, step: 1 }));
  return joined(source, taken, axis);
}

function runsOf(order: readonly number[]): { begin: number; count: number }[] {
  const runs: { begin: number; count: number }[] = [];
  for (const index of order) {
    const last = runs.at(-1);
    if (last !== undefined && last.begin + last.count === index) last.count++;
    else runs.push({ begin: index, count: 1 });
  }
  return runs;
}

function joined(source: Source, features: readonly Feature[], axis: number): Feature {
  const [first, ...others] = features;
  if (first === undefined) return source.fail("joins nothing");
  if (others.length === 0) return first;
  const all = [first, ...others.map((other) => alignedTo(source, first, other))];
  const at = axisOf(axis, first);
  if (at < 0) source.fail("joins batches");
  const inputs = all.map(({ node }) => node);
  const rank = first.shape.length;
  const channels = at === rank - 1 && (rank === 1 || rank === 3);
  const rest = ({ shape }: Feature) => shape.map((size, i) => (i === at ? 0 : size)).join();
  if (all.some((feature) => rest(feature) !== rest(first)))
    source.fail(`joins ${features.map(described).join(", ")} along axis ${String(axis)}`);
  return source.importing.add(
    source.output,
    (name) =>
      channels
        ? { op: "concat", name, inputs }
        : { op: "float", name, inputs, operation: { kind: "join", axis: at } },
    first,
  );
}

function readConcat(source: Source): Feature {
  const values = source.node.input.map((_, i) => source.operand(i));
  const first = values.find((value) => value.kind === "feature");
  if (first === undefined) return source.fail("joins constants that are no list");
  const axis = resolvedAxis(source.int("axis", 1), first);
  const features = values.filter((value) => value.kind === "feature");
  const isEmpty = (value: (typeof values)[number]) =>
    value.kind === "feature" || Array.from(value.constant.data).every((number) => number === 0);
  const at = axisOf(axis, first);
  if (first.shape.length === 3 && at === 2 && features.length === 1 && values.every(isEmpty)) {
    const channels = values.flatMap((value) =>
      value.kind === "feature"
        ? Array.from({ length: first.shape[2] ?? 1 }, (_, i) => i)
        : Array<undefined>(sizeAlong(value.constant, axis)).fill(undefined),
    );
    return selected(source, first, { channels, stride: [1, 1] });
  }
  return joined(
    source,
    values.map((value) =>
      value.kind === "feature" ? value : constantFeature(source, first, value.constant),
    ),
    axis,
  );
}

const sizeAlong = ({ shape }: Constant, axis: number): number => shape[axis] ?? 1;

function readPad(source: Source): Feature {
  const mode = source.text("mode", "constant");
  if (mode !== "constant") source.fail(`has the mode "${mode}"; only constants are supported`);
  const whole = source.feature(0);
  const given = source.ints("pads") ?? Array.from(source.constant(1).data);
  const rank = dimensionsOf(whole).length + 1;
  const named = source.optionalConstant(3)?.data ?? Array.from({ length: rank }, (_, i) => i);
  const sides = new Map(
    Array.from(named, (axis, i) => [
      resolvedAxis(axis, whole),
      [given[i] ?? 0, given[i + named.length] ?? 0] as const,
    ]),
  );
  const at = (axis: number) => sides.get(axis) ?? ([0, 0] as const);
  const value = source.float("value", source.optionalConstant(2)?.data[0] ?? 0);
  if ([...sides.values()].flat().every((count) => count === 0)) return whole;
  const wrong = [...sides].find(
    ([axis, both]) => Math.min(...both) < 0 || (axis === 0 && Math.max(...both) > 0),
  );
  if (wrong !== undefined)
    source.fail(`has pads [${given.join()}]; values can only be added, and not to the batch`);
  const x = source.image(0);
  const [before, after] = at(1);
  const padding: Sides = [at(2)[0], at(3)[0], at(2)[1], at(3)[1]];
  const spread = padding.some((count) => count > 0);
  if (before + after === 0) return padded(source, x, padding, value);
  if (value !== 0) return source.fail(`adds channels of ${String(value)}; zeros are supported`);
  const image = spread ? padded(source, x, padding, value) : x;
  const own = Array.from({ length: x.shape[2] ?? 1 }, (_, i) => i);
  const empty = (count: number) => Array<undefined>(count).fill(undefined);
  return selected(source, image, {
    channels: [...empty(before), ...own, ...empty(after)],
    stride: [1, 1],
  });
}

const padded = (source: Source, x: Feature, padding: Sides, value: number): Feature =>
  source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node] },
    operation: { kind: "pad", padding, value },
  }));
