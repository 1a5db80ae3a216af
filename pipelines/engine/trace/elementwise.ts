import * as tf from "#tf";
import { dataTypeCode } from "../../onnx/index.js";
import type { Layout } from "./layout.js";
import { lower, onnxType, type TraceBackend } from "./traceBackend.js";

interface Operands {
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
}

/** Kernels with two broadcast operands: tfjs kernel, ONNX operator, element type of the result. */
export const BINARY: readonly [kernel: string, operator: string, dtype?: tf.DataType][] = [
  ["Add", "Add"],
  ["Sub", "Sub"],
  ["Multiply", "Mul"],
  ["RealDiv", "Div", "float32"],
  ["Maximum", "Max"],
  ["Minimum", "Min"],
  ["Pow", "Pow"],
  ["Prelu", "PRelu"],
  ["Greater", "Greater", "bool"],
  ["GreaterEqual", "GreaterOrEqual", "bool"],
  ["Less", "Less", "bool"],
  ["LessEqual", "LessOrEqual", "bool"],
  ["Equal", "Equal", "bool"],
  ["LogicalAnd", "And", "bool"],
  ["LogicalOr", "Or", "bool"],
];

for (const [kernel, operator, dtype] of BINARY) {
  lower<Operands>(kernel, (operands, _, trace) => binary(trace, operator, operands, dtype));
}
lower<Operands>("NotEqual", (operands, _, trace) => {
  const equal = binary(trace, "Equal", operands, "bool");
  const layout = trace.layoutOf(equal);
  const name = trace.graph.add("Not", [trace.in(layout, equal)]);
  return trace.result(name, equal.shape, "bool", layout);
});
lower<Operands>("SquaredDifference", (operands, _, trace) => {
  const difference = binary(trace, "Sub", operands);
  return binary(trace, "Mul", { a: difference, b: difference });
});
lower<Operands>("FloorDiv", (operands, _, trace) => {
  const dtype = operands.a.dtype;
  const quotient = binary(trace, "Div", {
    a: cast(trace, operands.a, "float32"),
    b: cast(trace, operands.b, "float32"),
  });
  return cast(trace, unary(trace, "Floor", quotient), dtype);
});
lower<Operands>("Mod", (operands, _, trace) => {
  // The sign of the result is the divisor's, which in ONNX only integer Mod promises.
  const quotient = unary(trace, "Floor", binary(trace, "Div", operands));
  const product = binary(trace, "Mul", { a: quotient, b: operands.b });
  return binary(trace, "Sub", { a: operands.a, b: product });
});

interface Operand {
  readonly x: tf.TensorInfo;
}

/** Kernels that apply one ONNX operator to each element. */
export const UNARY: readonly [kernel: string, operator: string][] = [
  ["Abs", "Abs"],
  ["Ceil", "Ceil"],
  ["Cos", "Cos"],
  ["Erf", "Erf"],
  ["Exp", "Exp"],
  ["Floor", "Floor"],
  ["Identity", "Identity"],
  ["Log", "Log"],
  ["Neg", "Neg"],
  ["Reciprocal", "Reciprocal"],
  ["Relu", "Relu"],
  ["Round", "Round"],
  ["Sigmoid", "Sigmoid"],
  ["Sign", "Sign"],
  ["Sin", "Sin"],
  ["Softplus", "Softplus"],
  ["Sqrt", "Sqrt"],
  ["Tanh", "Tanh"],
  ["LogicalNot", "Not"],
];
for (const [kernel, operator] of UNARY) {
  lower<Operand>(kernel, ({ x }, _, trace) => unary(trace, operator, x));
}
lower<Operand>("Rsqrt", ({ x }, _, trace) => unary(trace, "Reciprocal", unary(trace, "Sqrt", x)));
lower<Operand>("Square", ({ x }, _, trace) => binary(trace, "Mul", { a: x, b: x }));
lower<Operand>("Log1p", ({ x }, _, trace) => unary(trace, "Log", withScalar(trace, "Add", x, 1)));
lower<Operand>("Expm1", ({ x }, _, trace) => withScalar(trace, "Sub", unary(trace, "Exp", x), 1));
lower<Operand>("Relu6", ({ x }, _, trace) => clip(trace, x, 0, 6));
lower<Operand, { clipValueMin: number; clipValueMax: number }>(
  "ClipByValue",
  ({ x }, { clipValueMin, clipValueMax }, trace) => clip(trace, x, clipValueMin, clipValueMax),
);
lower<Operand, { alpha?: number }>("Step", ({ x }, { alpha = 0 }, trace) => {
  const positive = cast(trace, withScalar(trace, "Greater", x, 0, "bool"), "float32");
  if (alpha === 0) return positive;
  const negative = withScalar(trace, "Mul", withScalar(trace, "Sub", positive, 1), -alpha);
  return binary(trace, "Add", { a: positive, b: negative });
});
lower<Operand, { dtype: tf.DataType }>("Cast", ({ x }, { dtype }, trace) => cast(trace, x, dtype));
lower<{ condition: tf.TensorInfo; t: tf.TensorInfo; e: tf.TensorInfo }>(
  "Select",
  ({ condition, t, e }, _, trace) => {
    // tfjs also takes a vector of conditions, one per entry of the first axis.
    const aligned = [...condition.shape];
    while (aligned.length < t.shape.length) aligned.push(1);
    const mask = trace.reshape(trace.plain(condition), aligned);
    const name = trace.graph.add("Where", [mask, trace.plain(t), trace.plain(e)]);
    return trace.result(name, t.shape, t.dtype);
  },
);

function binary(
  trace: TraceBackend,
  operator: string,
  { a, b }: Operands,
  dtype: tf.DataType = a.dtype,
): tf.TensorInfo {
  const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const layout = commonLayout(trace, shape, [a, b]);
  const flat = layout === "plain" ? flatOperands(trace, shape, a, b) : undefined;
  if (flat !== undefined) {
    return trace.result(trace.reshape(trace.graph.add(operator, flat), shape), shape, dtype);
  }
  const name = trace.graph.add(operator, [
    broadcastOperand(trace, layout, a),
    broadcastOperand(trace, layout, b),
  ]);
  return trace.result(name, shape, dtype, layout);
}

/** onnxruntime steps element by element through images of one channel unless they are flat. */
function flatOperands(
  trace: TraceBackend,
  shape: readonly number[],
  a: tf.TensorInfo,
  b: tf.TensorInfo,
): string[] | undefined {
  const size = tf.util.sizeFromShape([...shape]);
  if (size <= 1 || shape.at(-1) !== 1) return undefined;
  const sizes = [a, b].map((operand) => tf.util.sizeFromShape(operand.shape));
  if (!sizes.every((count) => count === size || count === 1)) return undefined;
  return [a, b].map((operand, i) => trace.reshape(trace.plain(operand), [sizes[i] ?? 1]));
}

function unary(trace: TraceBackend, operator: string, x: tf.TensorInfo): tf.TensorInfo {
  const layout = trace.layoutOf(x);
  return trace.result(trace.graph.add(operator, [trace.in(layout, x)]), x.shape, x.dtype, layout);
}

function withScalar(
  trace: TraceBackend,
  operator: string,
  x: tf.TensorInfo,
  value: number,
  dtype: tf.DataType = x.dtype,
): tf.TensorInfo {
  const layout = trace.layoutOf(x);
  const constant = trace.graph.constant(onnxType(x.dtype), [], [value]);
  const name = trace.graph.add(operator, [trace.in(layout, x), constant]);
  return trace.result(name, x.shape, dtype, layout);
}

function clip(trace: TraceBackend, x: tf.TensorInfo, low: number, high: number): tf.TensorInfo {
  const layout = trace.layoutOf(x);
  const bound = (value: number) => trace.graph.constant(onnxType(x.dtype), [], [value]);
  const name = trace.graph.add("Clip", [trace.in(layout, x), bound(low), bound(high)]);
  return trace.result(name, x.shape, x.dtype, layout);
}

function cast(trace: TraceBackend, x: tf.TensorInfo, dtype: tf.DataType): tf.TensorInfo {
  const layout = trace.layoutOf(x);
  const source = trace.in(layout, x);
  if (dtype === x.dtype) return trace.result(source, x.shape, dtype, layout);
  const name = trace.graph.add("Cast", [source], { to: dataTypeCode(onnxType(dtype)) });
  return trace.result(name, x.shape, dtype, layout);
}

/** Channels first if an operand as large as the result already is: converting it costs most. */
function commonLayout(
  trace: TraceBackend,
  shape: readonly number[],
  operands: readonly tf.TensorInfo[],
): Layout {
  const size = tf.util.sizeFromShape([...shape]);
  const converted = operands.some(
    (operand) =>
      operand.shape.length === 4 &&
      tf.util.sizeFromShape(operand.shape) === size &&
      trace.has("channelsFirst", operand),
  );
  return converted ? "channelsFirst" : "plain";
}

/** The operand so that ONNX broadcasting in `layout` does what tfjs broadcasting does in NHWC. */
function broadcastOperand(trace: TraceBackend, layout: Layout, operand: tf.TensorInfo): string {
  const rank = operand.shape.length;
  if (layout === "plain" || (rank < 4 && tf.util.sizeFromShape(operand.shape) === 1)) {
    return trace.plain(operand);
  }
  if (rank === 4) return trace.in(layout, operand);
  const shape = [...Array<number>(4 - rank).fill(1), ...operand.shape];
  const aligned = trace.reshape(trace.plain(operand), shape);
  return trace.in(layout, trace.result(aligned, shape, operand.dtype));
}
