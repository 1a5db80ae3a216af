import type { Call } from "../trace/program.js";
import { instruction as op } from "./encoder.js";

/**
 * How a loop computes one value from others. Truth is 1 and 0, whole numbers are floats: every
 * tensor of a step has one type.
 */
export interface Writer {
  /** Puts an operand on the stack. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly c: readonly number[];
  /** Puts a number on the stack, in all lanes. */
  readonly number: (value: number) => readonly number[];
  /** Calls a function of the kernels with what is on the stack. */
  readonly call: (name: string, argumentCount?: number) => readonly number[];
}

type Bytes = readonly number[];
type Formula = (writer: Writer, call: Call) => Bytes;

const join = (...parts: readonly Bytes[]): Bytes => parts.flat();
const unary =
  (code: Bytes): Formula =>
  ({ a }) =>
    join(a, code);
const binary =
  (code: Bytes): Formula =>
  ({ a, b }) =>
    join(a, b, code);
const compared =
  (code: Bytes): Formula =>
  ({ a, b, number }) =>
    join(a, b, code, number(1), op.and);
const called =
  (name: string): Formula =>
  ({ a, call }) =>
    join(a, call(name));
/** Between two numbers; NaN stays NaN. */
const clip = ({ a, number }: Writer, low: number, high: number): Bytes =>
  join(a, number(low), op.larger, number(high), op.smaller);
const truth = ({ a, number }: Writer): Bytes => join(a, number(0), op.notEqual, number(1), op.and);
const quotient = ({ a, b }: Writer): Bytes => join(a, b, op.divide, op.floor);

/** Kernels that compute every element by itself, with operands that broadcast. */
export const formulas: Readonly<Record<string, Formula>> = {
  Add: binary(op.add),
  Sub: binary(op.subtract),
  Multiply: binary(op.multiply),
  RealDiv: binary(op.divide),
  Maximum: binary(op.maximum),
  Minimum: binary(op.minimum),
  SquaredDifference: ({ a, b }) => join(a, b, op.subtract, a, b, op.subtract, op.multiply),
  FloorDiv: quotient,
  // The sign of the result is the divisor's.
  Mod: (writer) => join(writer.a, quotient(writer), writer.b, op.multiply, op.subtract),
  Pow: ({ a, b, call }) => join(a, b, call("pow", 2)),
  Prelu: ({ a, b, number }) => join(a, b, op.multiply, a, a, number(0), op.less, op.bitselect),
  Greater: compared(op.greater),
  GreaterEqual: compared(op.greaterEqual),
  Less: compared(op.less),
  LessEqual: compared(op.lessEqual),
  Equal: compared(op.equal),
  NotEqual: compared(op.notEqual),
  LogicalAnd: binary(op.multiply),
  LogicalOr: binary(op.maximum),
  LogicalNot: ({ a, number }) => join(number(1), a, op.subtract),
  Select: ({ a, b, c, number }) => join(b, c, a, number(0), op.notEqual, op.bitselect),

  Abs: unary(op.absolute),
  Ceil: unary(op.ceil),
  Floor: unary(op.floor),
  Neg: unary(op.negate),
  Round: unary(op.nearest), // half to even
  Sqrt: unary(op.squareRoot),
  Square: ({ a }) => join(a, a, op.multiply),
  Reciprocal: ({ a, number }) => join(number(1), a, op.divide),
  Rsqrt: ({ a, number }) => join(number(1), a, op.squareRoot, op.divide),
  Relu: ({ a, number }) => join(a, number(0), op.larger),
  Relu6: (writer) => clip(writer, 0, 6),
  ClipByValue: (writer, { attributes }) => {
    const { clipValueMin, clipValueMax } = attributes as Record<string, number>;
    return clip(writer, clipValueMin ?? -Infinity, clipValueMax ?? Infinity);
  },
  Sign: ({ a, number }) =>
    join(
      ...[a, number(0), op.greater, number(1), op.and],
      ...[a, number(0), op.less, number(1), op.and, op.subtract],
    ),
  Step: ({ a, number }, { attributes }) =>
    join(number(1), number((attributes["alpha"] as number | undefined) ?? 0), [
      ...a,
      ...number(0),
      ...op.greater,
      ...op.bitselect,
    ]),
  Cast: (writer, { inputs, attributes }) => {
    if (attributes["dtype"] === "bool") return truth(writer);
    const truncates = attributes["dtype"] === "int32" && inputs["x"]?.dtype === "float32";
    return truncates ? join(writer.a, op.truncate) : writer.a;
  },

  Cos: called("cos"),
  Erf: called("erf"),
  Exp: called("exp"),
  Expm1: called("expm1"),
  Log: called("log"),
  Log1p: called("log1p"),
  Sigmoid: called("sigmoid"),
  Sin: called("sin"),
  Softplus: called("softplus"),
  Tanh: called("tanh"),
};

/** The operands of such a call, in the order of a formula's a, b and c. */
export function operandsOf({ kernel, inputs }: Call) {
  const names =
    kernel === "Select"
      ? ["condition", "t", "e"]
      : kernel === "Prelu"
        ? ["x", "alpha"]
        : ["a", "b"];
  return inputs["x"] !== undefined && kernel !== "Prelu"
    ? [inputs["x"]]
    : names.flatMap((name) => inputs[name] ?? []);
}
