import * as tf from "#tf";
import { dataTypeCode } from "../../onnx/index.js";
import { CHANNELS_FIRST } from "./layout.js";
import { sliceAxis } from "./shapes.js";
import { lower, onnxType, type TraceBackend } from "./traceBackend.js";

interface Input {
  readonly x: tf.TensorInfo;
}
interface Reduction {
  readonly axis?: number | number[];
  /** What tfjs calls the axes of Max. */
  readonly reductionIndices?: number | number[];
  readonly keepDims?: boolean;
}

/** Kernels that reduce axes: ONNX operator and the result of reducing nothing. */
const REDUCTIONS: Readonly<Record<string, readonly [operator: string, ofNothing: number]>> = {
  Sum: ["ReduceSum", 0],
  Mean: ["ReduceMean", 0], // as tfjs has it
  Prod: ["ReduceProd", 1],
  Max: ["ReduceMax", -Infinity],
  Min: ["ReduceMin", Infinity],
};
for (const [kernel, [operator, ofNothing]] of Object.entries(REDUCTIONS)) {
  lower<Input, Reduction>(kernel, ({ x }, attributes, trace) => {
    const { axes, reducedSize, shape } = resolveAxes(x, attributes);
    const dtype = kernel === "Mean" || x.dtype === "bool" ? "float32" : x.dtype;
    const size = tf.util.sizeFromShape(shape);
    if (size === 0 || reducedSize === 0) {
      return trace.constantResult(new Float32Array(size).fill(ofNothing), shape, dtype);
    }
    const summed = kernel === "Sum" || kernel === "Mean";
    const factor = kernel === "Mean" ? 1 / reducedSize : 1;
    const name =
      summed && x.dtype === "float32"
        ? (sumOfImages(trace, x, axes, factor) ?? sumOfRows(trace, x, axes, factor))
        : undefined;
    const value = name ?? reduce(trace, operator, x, axes);
    return trace.result(trace.reshape(value, shape), shape, dtype);
  });
}
for (const [kernel, operator] of [
  ["All", "ReduceMin"],
  ["Any", "ReduceMax"],
] as const) {
  lower<Input, Reduction>(kernel, ({ x }, attributes, trace) => {
    const { axes, shape } = resolveAxes(x, attributes);
    const numbers = trace.graph.add("Cast", [trace.plain(x)], { to: dataTypeCode("int32") });
    const reduced = trace.graph.add(operator, [numbers, trace.graph.integers(axes)]);
    const name = trace.graph.add("Cast", [reduced], { to: dataTypeCode("bool") });
    return trace.result(trace.reshape(name, shape), shape, "bool");
  });
}
lower<{ x: tf.TensorInfo; weights: tf.TensorInfo }, { size: number }>(
  "Bincount",
  ({ x, weights }, { size }, trace) => {
    const { graph } = trace;
    const type = onnxType(weights.dtype);
    // Values from `size` on count for nothing: they all meet in one place behind the others.
    const places = graph.add("Min", [trace.plain(x), graph.constant("int32", [], [size])]);
    const empty = graph.constant(type, [size + 1], new Float32Array(size + 1));
    const ones = () =>
      graph.add("Expand", [graph.constant(type, [], [1]), graph.integers(x.shape)]);
    const added = tf.util.sizeFromShape(weights.shape) === 0 ? ones() : trace.plain(weights);
    const inputs = [empty, places, added];
    const counts = graph.add("ScatterElements", inputs, { axis: 0, reduction: "add" });
    const name = sliceAxis(trace, counts, { axis: 0, begin: 0, size });
    return trace.result(name, [size], weights.dtype);
  },
);
for (const [kernel, operator] of [
  ["ArgMax", "ArgMax"],
  ["ArgMin", "ArgMin"],
] as const) {
  lower<Input, { axis: number }>(kernel, ({ x }, attributes, trace) => {
    const { axes, shape } = resolveAxes(x, attributes);
    const index = trace.graph.add(operator, [trace.plain(x)], { axis: axes[0] ?? 0, keepdims: 0 });
    const name = trace.graph.add("Cast", [index], { to: dataTypeCode("int32") });
    return trace.result(name, shape, "int32");
  });
}
lower<{ logits: tf.TensorInfo }, { dim: number }>("Softmax", ({ logits }, { dim }, trace) => {
  const name = trace.graph.add("Softmax", [trace.plain(logits)], { axis: dim });
  return trace.result(name, logits.shape, "float32");
});
lower<{ logits: tf.TensorInfo }, { axis: number }>("LogSoftmax", ({ logits }, { axis }, trace) => {
  const name = trace.graph.add("LogSoftmax", [trace.plain(logits)], { axis });
  return trace.result(name, logits.shape, "float32");
});
lower<Input, { axis: number; exclusive: boolean; reverse: boolean }>(
  "Cumsum",
  ({ x }, { axis, exclusive, reverse }, trace) => {
    const name = trace.graph.add(
      "CumSum",
      [trace.plain(x), trace.graph.constant("int64", [], [axis])],
      { exclusive: Number(exclusive), reverse: Number(reverse) },
    );
    return trace.result(name, x.shape, x.dtype);
  },
);

function resolveAxes(x: tf.TensorInfo, { axis, reductionIndices, keepDims = false }: Reduction) {
  const given = reductionIndices ?? axis ?? x.shape.map((_, i) => i);
  const axes = tf.util.parseAxisParam(given, x.shape);
  const [kept, reduced] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
  const shape = keepDims ? tf.backend_util.expandShapeToKeepDim(kept, axes) : kept;
  return { axes, shape, reducedSize: tf.util.sizeFromShape(reduced) };
}

function reduce(
  trace: TraceBackend,
  operator: string,
  x: tf.TensorInfo,
  axes: readonly number[],
): string {
  // Reduced axes that leave N and C alone lie together in both layouts, and keep their order.
  const spatial = x.shape.length === 4 && axes.includes(1) && axes.includes(2);
  const layout = spatial ? trace.layoutOf(x) : "plain";
  const placed = layout === "plain" ? axes : axes.map((axis) => CHANNELS_FIRST.axis[axis] ?? axis);
  const input = trace.in(layout, x);
  const numbers =
    x.dtype === "bool" ? trace.graph.add("Cast", [input], { to: dataTypeCode("float32") }) : input;
  if (placed.length === 0) return numbers;
  return trace.graph.add(operator, [numbers, trace.graph.integers(placed)], { keepdims: 0 });
}

/**
 * Sums NCHW images over everything but the channel. Two matrix products with rows of ones run at
 * memory bandwidth, where ReduceSum over these axes takes about ten times as long.
 */
function sumOfImages(
  trace: TraceBackend,
  x: tf.TensorInfo,
  axes: readonly number[],
  factor: number,
): string | undefined {
  const [n = 1, h = 1, w = 1, c = 1] = x.shape;
  if (x.shape.length !== 4 || axes.join() !== "0,1,2" || !trace.has("channelsFirst", x)) {
    return undefined;
  }
  const rows = trace.reshape(trace.in("channelsFirst", x), [n, c * h * w]);
  const perPixel = trace.graph.add("MatMul", [filledRow(trace, n, factor), rows]);
  const pixels = trace.reshape(perPixel, [c, h * w]);
  return trace.graph.add("MatMul", [
    pixels,
    trace.graph.constant("float32", [h * w, 1], new Float32Array(h * w).fill(1)),
  ]);
}

/** Sums over leading axes, for the same reason as a product with a row of ones. */
function sumOfRows(
  trace: TraceBackend,
  x: tf.TensorInfo,
  axes: readonly number[],
  factor: number,
): string | undefined {
  const leading = axes.length > 0 && axes.every((axis, i) => axis === i);
  if (!leading || axes.length >= x.shape.length) return undefined;
  const count = tf.util.sizeFromShape(x.shape.slice(0, axes.length));
  const rows = trace.reshape(trace.plain(x), [count, tf.util.sizeFromShape(x.shape) / count]);
  return trace.graph.add("MatMul", [filledRow(trace, count, factor), rows]);
}

function filledRow(trace: TraceBackend, length: number, value: number): string {
  return trace.graph.constant("float32", [1, length], new Float32Array(length).fill(value));
}
