import * as tf from "#tf";
import { dataTypeCode, type OnnxGraph } from "../../onnx/index.js";
import { CHANNELS_FIRST } from "./layout.js";
import { lower, onnxType, type TraceBackend } from "./traceBackend.js";

type Info = tf.TensorInfo;

lower<{ x: Info }, { shape: number[] }>("Reshape", ({ x }, attributes, trace) => {
  const shape = tf.util.inferFromImplicitShape(attributes.shape, tf.util.sizeFromShape(x.shape));
  return trace.result(trace.reshape(trace.plain(x), shape), shape, x.dtype);
});
lower<{ input: Info }, { dim: number }>("ExpandDims", ({ input }, { dim }, trace) => {
  const shape = [...input.shape];
  shape.splice(dim < 0 ? shape.length + 1 + dim : dim, 0, 1);
  return trace.result(trace.reshape(trace.plain(input), shape), shape, input.dtype);
});
lower<{ x: Info }, { perm: number[] }>("Transpose", ({ x }, { perm }, trace) => {
  const shape = perm.map((axis) => x.shape[axis] ?? 1);
  const name = trace.graph.add("Transpose", [trace.plain(x)], { perm });
  return trace.result(name, shape, x.dtype);
});
lower<{ x: Info }, { reps: number[] }>("Tile", ({ x }, { reps }, trace) => {
  const shape = x.shape.map((size, i) => size * (reps[i] ?? 1));
  return trace.result(repeat(trace, x, reps), shape, x.dtype);
});
lower<{ x: Info }, { shape: number[] }>("BroadcastTo", ({ x }, { shape }, trace) => {
  const name = trace.graph.add("Expand", [trace.plain(x), trace.graph.integers(shape)]);
  return trace.result(name, shape, x.dtype);
});
lower<{ x: Info }, { begin: number | number[]; size: number | number[] }>(
  "Slice",
  ({ x }, attributes, trace) => {
    const [begin = [], size = []] = tf.slice_util.parseSliceParams(
      x, // only its shape is read
      attributes.begin,
      attributes.size,
    );
    const end = begin.map((start, i) => start + (size[i] ?? 0));
    const axes = begin.map((_, i) => i);
    if (x.shape.length === 0) return trace.result(trace.plain(x), size, x.dtype);
    const name = trace.graph.add("Slice", [
      trace.plain(x),
      ...[begin, end, axes].map((values) => trace.graph.integers(values)),
    ]);
    return trace.result(name, size, x.dtype);
  },
);
lower<{ x: Info }, { dims: number[] }>("Reverse", ({ x }, { dims }, trace) => {
  const axes = tf.util.parseAxisParam(dims, x.shape);
  if (axes.length === 0) return trace.result(trace.plain(x), x.shape, x.dtype);
  return trace.result(reversed(trace, trace.plain(x), axes), x.shape, x.dtype);
});
lower<Record<string, Info>, { axis: number }>("Concat", (inputs, attributes, trace) => {
  const parts = Object.values(inputs);
  const [first] = parts;
  if (first === undefined) throw new TypeError("concat needs at least one tensor");
  const [axis = 0] = tf.util.parseAxisParam(attributes.axis, first.shape);
  const shape = tf.backend_util.computeOutShape(
    parts.map((part) => part.shape),
    axis,
  );
  const layout = parts.every((part) => trace.has("channelsFirst", part))
    ? "channelsFirst"
    : "plain";
  const name = trace.graph.add(
    "Concat",
    parts.map((part) => trace.in(layout, part)),
    { axis: layout === "plain" ? axis : (CHANNELS_FIRST.axis[axis] ?? axis) },
  );
  return trace.result(name, shape, first.dtype, layout);
});
lower<Record<string, Info>, { axis: number }>("Pack", (inputs, { axis }, trace) => {
  const parts = Object.values(inputs);
  const [first] = parts;
  if (first === undefined) throw new TypeError("stack needs at least one tensor");
  const single = [...first.shape];
  single.splice(axis, 0, 1);
  const name = trace.graph.add(
    "Concat",
    parts.map((part) => trace.reshape(trace.plain(part), single)),
    { axis },
  );
  return trace.result(
    name,
    single.map((size, i) => (i === axis ? parts.length : size)),
    first.dtype,
  );
});
lower<{ value: Info }, { axis: number }>("Unpack", ({ value }, { axis }, trace) => {
  const shape = value.shape.filter((_, i) => i !== axis);
  return Array.from({ length: value.shape[axis] ?? 0 }, (_, index) => {
    const part = sliceAxis(trace, trace.plain(value), { axis, begin: index, size: 1 });
    return trace.result(trace.reshape(part, shape), shape, value.dtype);
  });
});
lower<{ x: Info }, { numOrSizeSplits: number | number[]; axis: number }>(
  "SplitV",
  ({ x }, attributes, trace) => {
    const [axis = 0] = tf.util.parseAxisParam(attributes.axis, x.shape);
    let begin = 0;
    return tf.backend_util
      .prepareSplitSize(x as tf.Tensor, attributes.numOrSizeSplits, axis)
      .map((size) => {
        const part = sliceAxis(trace, trace.plain(x), { axis, begin, size });
        begin += size;
        const shape = x.shape.map((whole, i) => (i === axis ? size : whole));
        return trace.result(part, shape, x.dtype);
      });
  },
);
lower<{ x: Info }, { paddings: [number, number][]; constantValue: number }>(
  "PadV2",
  ({ x }, { paddings, constantValue }, trace) => {
    const pads = [...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)];
    const name = trace.graph.add("Pad", [
      trace.plain(x),
      trace.graph.integers(pads),
      trace.graph.constant(onnxType(x.dtype), [], [constantValue]),
    ]);
    const shape = x.shape.map(
      (size, i) => size + (pads[i] ?? 0) + (pads[i + pads.length / 2] ?? 0),
    );
    return trace.result(name, shape, x.dtype);
  },
);
lower<{ x: Info; indices: Info }, { axis: number; batchDims: number }>(
  "GatherV2",
  ({ x, indices }, { axis, batchDims }, trace) => {
    if (batchDims !== 0)
      throw new RangeError(`gather: batchDims must be 0, got ${String(batchDims)}`);
    const [along = 0] = tf.util.parseAxisParam(axis, x.shape);
    const inputs = [trace.plain(x), trace.plain(indices)] as const;
    const shape = [...x.shape.slice(0, along), ...indices.shape, ...x.shape.slice(along + 1)];
    const name =
      x.shape.length === 1
        ? lookUp(trace.graph, ...inputs, shape)
        : trace.graph.add("Gather", inputs, { axis: along });
    return trace.result(name, shape, x.dtype);
  },
);
lower<{ indices: Info }, { depth: number; onValue: number; offValue: number; dtype: tf.DataType }>(
  "OneHot",
  ({ indices }, { depth, onValue, offValue, dtype }, trace) => {
    // onnxruntime implements int64 indices with float values, and few other combinations.
    const hot = trace.graph.add("OneHot", [
      trace.graph.add("Cast", [trace.plain(indices)], { to: dataTypeCode("int64") }),
      trace.graph.constant("int64", [], [depth]),
      trace.graph.constant("float32", [2], [offValue, onValue]),
    ]);
    const name = trace.graph.add("Cast", [hot], { to: dataTypeCode(onnxType(dtype)) });
    return trace.result(name, [...indices.shape, depth], dtype);
  },
);
lower<{ x: Info }>("ZerosLike", ({ x }, _, trace) => filled(trace, x.shape, 0, x.dtype));
lower<{ x: Info }>("OnesLike", ({ x }, _, trace) => filled(trace, x.shape, 1, x.dtype));
lower<object, { shape: number[]; value: number; dtype?: tf.DataType }>(
  "Fill",
  (_, { shape, value, dtype = "float32" }, trace) => filled(trace, shape, value, dtype),
);
lower<object, { start: number; stop: number; step: number; dtype: tf.DataType }>(
  "Range",
  (_, { start, stop, step, dtype }, trace) => {
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const values = Float32Array.from({ length }, (_, i) => start + i * step);
    return trace.constantResult(
      dtype === "int32" ? Int32Array.from(values) : values,
      [length],
      dtype,
    );
  },
);

/**
 * The elements of a vector at indices of any shape. Gather calls a copying function for each
 * element, which takes nine times as long as what GatherElements does.
 */
export function lookUp(
  graph: OnnxGraph,
  table: string,
  indices: string,
  shape: readonly number[],
): string {
  const row = graph.add("Reshape", [indices, graph.integers([-1])]);
  return graph.add("Reshape", [
    graph.add("GatherElements", [table, row], { axis: 0 }),
    graph.integers(shape),
  ]);
}

function filled(trace: TraceBackend, shape: number[], value: number, dtype: tf.DataType): Info {
  const size = tf.util.sizeFromShape(shape);
  if (size === 0) return trace.constantResult(new Float32Array(0), shape, dtype);
  const element = trace.graph.constant(onnxType(dtype), [], [value]);
  const name = trace.graph.add("Expand", [element, trace.graph.integers(shape)]);
  return trace.result(name, shape, dtype);
}

/** Tile, in the layout that the tensor already has. */
function repeat(trace: TraceBackend, x: Info, reps: readonly number[]): string {
  if (x.shape.length === 0) return trace.plain(x);
  return trace.graph.add("Tile", [trace.plain(x), trace.graph.integers(reps)]);
}

/** Reverses the order of the elements along the given axes. */
export function reversed(trace: TraceBackend, name: string, axes: readonly number[]): string {
  const beyond = -(2 ** 31); // Slice clamps: "down to and including the first element"
  return trace.graph.add("Slice", [
    name,
    ...[axes.map(() => -1), axes.map(() => beyond), axes, axes.map(() => -1)].map((values) =>
      trace.graph.integers(values),
    ),
  ]);
}

export function sliceAxis(
  trace: TraceBackend,
  name: string,
  { axis, begin, size, step = 1 }: { axis: number; begin: number; size: number; step?: number },
): string {
  return trace.graph.add("Slice", [
    name,
    ...[[begin], [begin + (size - 1) * step + 1], [axis], [step]].map((values) =>
      trace.graph.integers(values),
    ),
  ]);
}
