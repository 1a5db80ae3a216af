import type { FloatOperation } from "../../../algorithms/network.js";
import { addConstant, combined, mulConstant, withScale } from "../combining.js";
import { axisOf, dimensionsOf, resolvedAxis, type Feature } from "../feature.js";
import { described } from "../views.js";
import type { OperatorReader, OperatorReaders, Source, Value } from "../importing.js";
import { isFloatType } from "../tensor.js";

/** Activations, arithmetic, and what does nothing at inference. */
export const elementwise: OperatorReaders = {
  Relu: (source) => activation(source, "relu"),
  Clip: readClip,
  Sigmoid: float({ kind: "sigmoid" }),
  Tanh: float({ kind: "tanh" }),
  Erf: float({ kind: "erf" }),
  Exp: float({ kind: "exp" }),
  Sqrt: float({ kind: "sqrt" }),
  Abs: float({ kind: "abs" }),
  Softplus: float({ kind: "softplus" }),
  HardSwish: float({ kind: "hardSwish" }),
  Neg: (source) => withScale(source, source.feature(0), -1),
  Gelu: (source) =>
    unary(source, {
      kind: "gelu",
      ...(source.text("approximate", "none") === "tanh" && { approximate: "tanh" }),
    }),
  Elu: (source) => unary(source, { kind: "elu", alpha: source.float("alpha", 1) }),
  Selu(source) {
    const alpha = source.float("alpha", 1.6732632423543772);
    const curve = unary(source, { kind: "elu", alpha });
    return withScale(source, curve, source.float("gamma", 1.0507009873554805));
  },
  Mish(source) {
    const x = source.feature(0);
    const curve = next(source, next(source, x, { kind: "softplus" }), { kind: "tanh" });
    return combined(source, "mul", x, curve);
  },
  Swish(source) {
    const x = source.feature(0);
    const gate = next(source, withScale(source, x, source.float("alpha", 1)), { kind: "sigmoid" });
    return combined(source, "mul", x, gate);
  },
  HardSigmoid: (source) =>
    unary(source, {
      kind: "hardSigmoid",
      alpha: source.float("alpha", 0.2),
      beta: source.float("beta", 0.5),
    }),
  LeakyRelu: (source) => unary(source, { kind: "leakyRelu", slope: source.float("alpha", 0.01) }),
  Softmax: (source) => unary(source, { kind: "softmax", ...softmaxAxis(source) }),
  LogSoftmax(source) {
    if ("axis" in softmaxAxis(source)) source.fail("is not over the channels");
    return unary(source, { kind: "logSoftmax" });
  },
  PRelu(source) {
    const slope = source.constant(1);
    const x = source.feature(0);
    if (slope.data.length === 1)
      return unary(source, { kind: "leakyRelu", slope: slope.data[0] ?? 0 });
    const below = next(source, withScale(source, x, -1), "relu");
    const negative = mulConstant(source, below, slope);
    return combined(source, "sub", next(source, x, "relu"), negative);
  },
  Pow(source) {
    const x = source.feature(0);
    const { data } = source.constant(1);
    const exponent = data[0];
    if (data.length !== 1 || (exponent !== 2 && exponent !== 3 && exponent !== 0.5))
      source.fail(`raises to the power ${String(exponent)}; 2, 3 and 0.5 are supported`);
    if (exponent === 0.5) return unary(source, { kind: "sqrt" });
    const square = combined(source, "mul", x, x);
    return exponent === 2 ? square : combined(source, "mul", square, x);
  },
  Add: readAdd,
  Sum: readAdd,
  Sub(source) {
    const [a, b] = [source.operand(0), source.operand(1)];
    if (a.kind === "feature" && b.kind === "feature") return combined(source, "sub", a, b);
    if (a.kind === "constant")
      return addConstant(source, withScale(source, source.feature(1), -1), a.constant);
    const { data, ...rest } = source.constant(1);
    const negative = { ...rest, data: Float64Array.from(data, (value) => -value) };
    return addConstant(source, source.feature(0), negative);
  },
  Mul(source) {
    const [a, b] = [source.operand(0), source.operand(1)];
    if (a.kind === "feature" && b.kind === "feature") return combined(source, "mul", a, b);
    return a.kind === "constant"
      ? mulConstant(source, source.feature(1), a.constant)
      : mulConstant(source, source.feature(0), source.constant(1));
  },
  Div(source) {
    const b = source.operand(1);
    if (b.kind === "feature") return combined(source, "div", source.feature(0), b);
    const { data, ...rest } = b.constant;
    const inverse = { ...rest, data: Float64Array.from(data, (value) => 1 / value) };
    return mulConstant(source, source.feature(0), inverse);
  },
  Where(source) {
    const { data, ...rest } = source.constant(0);
    const mask = (chosen: number) => ({
      ...rest,
      data: Float64Array.from(data, (value) => (value === 0 ? 1 - chosen : chosen)),
    });
    const parts = [1, 2].map((index) => {
      const value = source.operand(index);
      return { value, mask: mask(index === 1 ? 1 : 0) };
    });
    const [x, other] = parts.toSorted((a) => (a.value.kind === "feature" ? -1 : 1));
    if (x?.value.kind !== "feature" || other === undefined)
      return source.fail("chooses between constants by what is computed");
    const kept = mulConstant(source, x.value, x.mask);
    if (other.value.kind === "feature")
      return combined(source, "add", kept, mulConstant(source, other.value, other.mask));
    const { constant } = other.value;
    if (constant.data.length !== 1)
      source.fail(`puts a constant of [${constant.shape.join()}] in; one value is supported`);
    const filling = constant.data[0] ?? 0;
    const { data: places, ...shape } = other.mask;
    return addConstant(source, kept, {
      ...shape,
      // A mask of minus infinity before a softmax: as good, and no NaN.
      data: places.map((place) => (place === 0 ? 0 : Math.max(filling, -1e30))),
    });
  },
  Min: (source) => bounded(source, "max"),
  Max: (source) => bounded(source, "min"),
  Identity: (source) => source.input(0),
  Cast(source) {
    if (!isFloatType(source.int("to", 1))) source.fail("rounds values to integers");
    return source.feature(0);
  },
  CastLike: (source) => source.feature(0),
  Dropout(source) {
    if ((source.node.output[1] ?? "") !== "") source.fail("gives its mask, which is not supported");
    return source.input(0);
  },
};

function activation(source: Source, op: "relu" | "relu6"): Feature {
  const x = source.feature(0);
  const producer = source.importing.find(x.node);
  if (
    op === "relu6" &&
    producer?.op === "relu" &&
    source.importing.isReadOnce(source.node.input[0] ?? "")
  ) {
    source.importing.replace({ ...producer, op }); // some write ReLU6 as both
    return x;
  }
  return source.importing.add(source.output, (name) => ({ op, name, input: x.node }), x);
}

/** The axis of a node's value, where it is not the channels. */
function softmaxAxis(source: Source): { readonly axis?: number } {
  const x = source.feature(0);
  const axis = resolvedAxis(source.int("axis", source.opset < 13 ? 1 : -1), x);
  // Before opset 13 all axes from the given one on were one.
  const behind = source.opset < 13 ? dimensionsOf(x).slice(axis) : [];
  if (axis < 1 || behind.some((size) => size !== 1))
    source.fail(`is over axis ${String(axis)} and those behind it of ${described(x)}`);
  const at = axisOf(axis, x);
  return at === x.shape.length - 1 ? {} : { axis: at };
}

const next = (source: Source, x: Feature, operation: FloatOperation | "relu"): Feature =>
  source.importing.add(
    source.output,
    (name) =>
      operation === "relu"
        ? { op: "relu", name, input: x.node }
        : { op: "float", name, operation, inputs: [x.node] },
    x,
  );

const unary = (source: Source, operation: FloatOperation): Feature =>
  next(source, source.feature(0), operation);

function float(operation: FloatOperation): OperatorReader {
  return (source) => unary(source, operation);
}

const LARGEST = 3.4e38;

function clipped(source: Source, min: number, max: number): Feature {
  if (min === 0 && max === 6) return activation(source, "relu6");
  if (min === 0 && max >= LARGEST) return activation(source, "relu");
  return unary(source, {
    kind: "clip",
    min: Math.max(min, -LARGEST),
    max: Math.min(max, LARGEST),
  });
}

function readClip(source: Source): Feature {
  const bound = (index: number, name: string, otherwise: number): number => {
    if (source.opset < 11) return source.float(name, otherwise);
    return source.optionalConstant(index)?.data[0] ?? otherwise;
  };
  return clipped(source, bound(1, "min", -LARGEST), bound(2, "max", LARGEST));
}

/** Min and Max with one number are a clip. */
function bounded(source: Source, bound: "min" | "max"): Feature {
  const limit = source.constant(1);
  if (source.node.input.length !== 2 || limit.data.length !== 1)
    source.fail("compares values; only one value with one number is supported");
  const value = limit.data[0] ?? 0;
  const [min, max] = bound === "min" ? [value, LARGEST] : [-LARGEST, value];
  const x = source.feature(0);
  const producer = source.importing.find(x.node);
  // ReLU6 as a minimum of a ReLU.
  if (bound === "max" && max === 6 && producer?.op === "relu") return activation(source, "relu6");
  return clipped(source, min, max);
}

function readAdd(source: Source): Value {
  const { importing, node } = source;
  if (node.input.length === 1) return source.operand(0);
  if (node.input.length > 2) {
    const parts = node.input.map((_, i) => source.feature(i));
    return parts.reduce((sum, part) => combined(source, "add", sum, part));
  }
  const [a, b] = [source.operand(0), source.operand(1)];
  if (a.kind === "feature" && b.kind === "feature") return combined(source, "add", a, b);
  const from = a.kind === "constant" ? 1 : 0;
  const readOnce = importing.isReadOnce(node.input[from] ?? "");
  return addConstant(source, source.feature(from), source.constant(1 - from), readOnce);
}
