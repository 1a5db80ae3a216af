import { sizeOf } from "../../engine/index.js";
import type { FloatOptions } from "../../../algorithms/network.js";
import {
  constantValue,
  type Feature,
  type OperatorReaders,
  type Source,
  type Value,
} from "../importing.js";
import { ANY_BATCH, axesOf } from "./constants.js";

/** What moves values, and what asks for shapes. */
export const shapes: OperatorReaders = {
  Shape(source) {
    const shape = onnxShape(source.feature(0));
    const part = shape.slice(source.int("start", 0), source.int("end", shape.length));
    return constantValue([part.length], part);
  },
  Flatten(source) {
    const x = source.feature(0);
    const axis = source.int("axis", 1);
    if (axis !== 1 && axis !== -x.shape.length) source.fail(`keeps axes before ${String(axis)}`);
    return flattened(source, x);
  },
  Reshape: readReshape,
  Squeeze(source) {
    const x = source.feature(0);
    const rank = x.shape.length + 1;
    const axes = axesOf(source).map((axis) => (axis < 0 ? axis + rank : axis));
    const spatial = x.channelsLast ? "1,2" : "2,3";
    if (x.shape[0] !== 1 || x.shape[1] !== 1 || axes.sort((a, b) => a - b).join() !== spatial)
      source.fail(`drops axes [${axes.join()}] of an image of [${x.shape.join()}]`);
    return flattened(source, x);
  },
  Unsqueeze(source) {
    const x = source.feature(0);
    const axes = axesOf(source).sort((a, b) => a - b);
    if (x.shape.length !== 1 || !["2,3", "-2,-1"].includes(axes.join()))
      source.fail(`adds axes [${axes.join()}] to [${x.shape.join()}]`);
    return pixel(source, x);
  },
  Transpose: readTranspose,
  Concat(source) {
    const parts = source.node.input.map((_, i) => source.feature(i));
    const [first] = parts;
    if (first === undefined) return source.fail("joins nothing");
    const rank = first.shape.length + 1;
    const axis = source.int("axis", 1);
    const channelAxis = first.channelsLast ? rank - 1 : 1;
    const others = (part: Feature) => [part.channelsLast, ...part.shape.slice(0, -1)].join();
    if (
      (axis < 0 ? axis + rank : axis) !== channelAxis ||
      parts.some((part) => part.shape.length + 1 !== rank || others(part) !== others(first))
    )
      source.fail(
        `joins ${parts.map(({ shape }) => `[${shape.join()}]`).join(", ")} along axis ${String(axis)}; only channels are joined`,
      );
    return source.importing.add(
      source.output,
      (name) => ({ op: "concat", name, inputs: parts.map(({ node }) => node) }),
      first.channelsLast,
    );
  },
  Gather(source) {
    const x = source.image(0);
    const { shape, data } = source.constant(1);
    const order = Array.from(data, (index) => (index < 0 ? index + (x.shape[2] ?? 0) : index));
    if (source.int("axis", 0) !== 1 || shape.length !== 1 || new Set(order).size !== x.shape[2])
      source.fail("may only put channels in another order");
    return source.importing.add(source.output, (name) => ({
      ...{ op: "permuteChannels", name, input: x.node, order },
    }));
  },
  Slice(source) {
    const list = (name: string, index: number): number[] | undefined =>
      source.ints(name) ??
      (source.has(index) ? Array.from(source.constant(index).data) : undefined);
    const starts = list("starts", 1) ?? [];
    const ends = list("ends", 2) ?? [];
    const axes = list("axes", 3) ?? starts.map((_, i) => i);
    if ((list("steps", 4) ?? []).some((step) => step !== 1))
      source.fail("takes every second value");
    return starts.reduce((x, start, i) => {
      const extent = onnxShape(x)[resolved(axes[i] ?? 0, x)] ?? 0;
      const bound = (value: number) =>
        Math.min(Math.max(value < 0 ? value + extent : value, 0), extent);
      const begin = bound(start);
      return part(source, x, { axis: axes[i] ?? 0, begin, size: bound(ends[i] ?? 0) - begin });
    }, source.feature(0));
  },
  Split(source) {
    const x = source.feature(0);
    const axis = source.int("axis", 0);
    const extent = onnxShape(x)[resolved(axis, x)] ?? 0;
    const count = source.node.output.length;
    const equal = Math.ceil(extent / count);
    const sizes =
      source.ints("split") ??
      (source.has(1) ? Array.from(source.constant(1).data) : undefined) ??
      Array.from({ length: count }, (_, i) => Math.min(equal, extent - i * equal));
    let begin = 0;
    return sizes.map((size) => {
      const feature = part(source, x, { axis, begin, size });
      begin += size;
      return feature;
    });
  },
  Pad: readPad,
  Resize: readResize,
  Upsample: readResize,
};

/** Axes in the order of the ONNX graph, the batch in front. */
function onnxShape({ shape, channelsLast }: Feature): number[] {
  const [height = 1, width = 1, channels = 1] = shape;
  if (shape.length !== 3 || channelsLast) return [ANY_BATCH, ...shape];
  return [ANY_BATCH, channels, height, width];
}

const resolved = (axis: number, { shape }: Feature): number =>
  axis < 0 ? axis + shape.length + 1 : axis;

/** The axis of a feature's shape for one of the ONNX graph. */
function featureAxis(axis: number, x: Feature): number {
  const at = resolved(axis, x) - 1;
  return x.shape.length !== 3 || x.channelsLast ? at : ([2, 0, 1][at] ?? -1);
}

function part(
  source: Source,
  x: Feature,
  { axis, begin, size }: { readonly axis: number; readonly begin: number; readonly size: number },
): Feature {
  const at = featureAxis(axis, x);
  if (at < 0) source.fail("takes a part of the batch");
  if (begin === 0 && size === x.shape[at]) return x;
  return source.importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, inputs: [x.node] },
      operation: { kind: "slice", axis: at, begin, size },
    }),
    x.channelsLast,
  );
}

/** All values of an image as features. */
function flattened(source: Source, x: Feature): Feature {
  if (x.shape.length === 1) return x;
  const { importing } = source;
  const producer = importing.find(x.node);
  if (
    producer?.op === "globalAveragePool" &&
    producer.keepsAxes &&
    importing.isReadOnce(source.node.input[0] ?? "")
  ) {
    const { keepsAxes: _, ...pool } = producer;
    return { kind: "feature", node: x.node, shape: importing.replace(pool), channelsLast: false };
  }
  return importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node] },
    operation: { kind: "flatten", ...(x.channelsLast && { channelsLast: true }) },
  }));
}

const pixel = (source: Source, x: Feature): Feature =>
  source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node], operation: { kind: "pixel" } },
  }));

function readReshape(source: Source): Value {
  const input = source.input(0);
  const wanted = Array.from(source.constant(1).data);
  if (input.kind === "groups") {
    const { feature, groups, turned } = input;
    const [, channels = 1] = onnxShape(feature);
    if (!turned || wanted.length !== 4)
      source.fail("reshapes groups of channels in an unknown way");
    const each = channels / groups;
    return source.importing.add(source.output, (name) => ({
      ...{ op: "permuteChannels", name, input: feature.node },
      order: Array.from(
        { length: channels },
        (_, i) => (i % groups) * each + Math.floor(i / groups),
      ),
    }));
  }
  const x = source.feature(0);
  const current = onnxShape(x);
  const total = sizeOf(x.shape);
  // 0 copies an axis; the first one is the batch, whatever it says.
  const rest = wanted
    .slice(1)
    .map((size, i) =>
      size === 0 && source.int("allowzero", 0) === 0 ? (current[i + 1] ?? 0) : size,
    );
  const known = sizeOf(rest.filter((size) => size > 0));
  const sizes = rest.map((size) => (size < 0 ? total / known : size));
  const fail = () =>
    source.fail(`makes [${wanted.join()}] of [${current.join()}], which is not supported`);
  if (wanted.length === 0 || sizeOf(sizes) !== total) return fail();
  if (sizes.join() === current.slice(1).join()) return x;
  if (sizes.length === 1) return flattened(source, x);
  if (x.shape.length === 1 && sizes.length === 3 && sizes[1] === 1 && sizes[2] === 1)
    return pixel(source, x);
  const [groups = 1, each = 1, height, width] = sizes;
  const [, channels, rows, columns] = current;
  if (
    x.shape.length === 3 &&
    sizes.length === 4 &&
    !x.channelsLast &&
    groups * each === channels &&
    height === rows &&
    width === columns
  )
    return { kind: "groups", feature: x, groups, turned: false };
  return fail();
}

function readTranspose(source: Source): Value {
  const input = source.input(0);
  const perm = source.ints("perm") ?? [];
  if (input.kind === "groups") {
    if (perm.join() !== "0,2,1,3,4") source.fail(`reorders groups of channels by [${perm.join()}]`);
    return { ...input, turned: true };
  }
  const x = source.feature(0);
  const turns = x.channelsLast ? "0,3,1,2" : "0,2,3,1";
  if (x.shape.length !== 3 || perm.join() !== turns)
    source.fail(`reorders the axes of [${x.shape.join()}] by [${perm.join()}]`);
  return { ...x, channelsLast: !x.channelsLast };
}

function readPad(source: Source): Feature {
  const x = source.image(0);
  if (source.text("mode", "constant") !== "constant")
    source.fail(`has the mode "${source.text("mode", "")}"; only constants are supported`);
  if (source.has(3)) source.fail("names its axes, which is not supported");
  const pads = source.ints("pads") ?? Array.from(source.constant(1).data);
  const [batchBefore, channelsBefore, top = 0, left = 0, batchAfter, channelsAfter] = pads;
  const [bottom = 0, right = 0] = pads.slice(6);
  if (
    [batchBefore, channelsBefore, batchAfter, channelsAfter].some((count) => count !== 0) ||
    Math.min(top, left, bottom, right) < 0
  )
    source.fail(`has pads [${pads.join()}]; only rows and columns can be added`);
  const value = source.float("value", source.optionalConstant(2)?.data[0] ?? 0);
  return source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node] },
    operation: { kind: "pad", padding: [top, left, bottom, right], value },
  }));
}

type ResizeOptions = FloatOptions["resize"];

function readResize(source: Source): Feature {
  const x = source.image(0);
  const [height = 1, width = 1] = x.shape;
  const old = source.opset < 11;
  const scaleInput = old ? 1 : 2;
  const scales =
    source.floats("scales") ??
    (source.has(scaleInput) ? Array.from(source.constant(scaleInput).data) : []);
  const sizes = !old && source.has(3) ? Array.from(source.constant(3).data) : [];
  if (source.ints("axes") !== undefined) source.fail("names its axes, which is not supported");
  const along = (axis: number, extent: number) =>
    sizes.length > 0 ? (sizes[axis] ?? 0) : Math.floor(extent * (scales[axis] ?? 0));
  const [rows, columns] = [along(2, height), along(3, width)];
  if (rows < 1 || columns < 1) source.fail("has neither sizes nor scales");
  const choose = <T extends string>(name: string, otherwise: T, accepted: readonly T[]): T => {
    const found = source.text(name, otherwise);
    return (
      accepted.find((one) => one === found) ??
      source.fail(`has the ${name} "${found}"; supported are ${accepted.join(", ")}`)
    );
  };
  const mode = choose<ResizeOptions["mode"]>("mode", "nearest", ["nearest", "linear"]);
  if (source.int("antialias", 0) !== 0) source.fail("smooths, which is not supported");
  return source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node] },
    operation: {
      kind: "resize",
      height: rows,
      width: columns,
      mode,
      coordinates: choose<ResizeOptions["coordinates"]>(
        "coordinate_transformation_mode",
        old ? "asymmetric" : "half_pixel",
        ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"],
      ),
      nearest: choose<ResizeOptions["nearest"]>(
        "nearest_mode",
        old ? "floor" : "round_prefer_floor",
        ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
      ),
    },
  }));
}
