import cos from "@stdlib/math-base-special-cos";
import exp from "@stdlib/math-base-special-exp";
import ln from "@stdlib/math-base-special-ln";
import pow from "@stdlib/math-base-special-pow";
import { commonShape, expanded } from "../arrays.js";
import { constantValue, type OperatorReader, type OperatorReaders } from "../importing.js";
import type { Constant } from "../tensor.js";

/** Arithmetic and comparisons on constants, with whole numbers where their types are. */
export const arithmetic: OperatorReaders = {
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  Neg: each((a) => -a),
  Abs: each(Math.abs),
  Sqrt: each(Math.sqrt),
  Exp: each(exp),
  Log: each(ln),
  Cos: each(cos),
  Reciprocal: each((a) => 1 / a),
  Not: each((a) => (a === 0 ? 1 : 0)),
  Add: pairs((a, b) => a + b),
  Sub: pairs((a, b) => a - b),
  Mul: pairs((a, b) => a * b),
  // Integers are divided towards zero.
  Div: pairs((a, b, whole) => (whole ? Math.trunc(a / b) : a / b)),
  // The sign is the divisor's, or with fmod the dividend's.
  Mod(source) {
    const fmod = source.int("fmod", 0) === 1;
    return pairs((a, b) => (fmod ? a % b : a - b * Math.floor(a / b)))(source);
  },
  Pow: pairs((a, b) => pow(a, b)),
  Max: pairs((a, b) => Math.max(a, b)),
  Min: pairs((a, b) => Math.min(a, b)),
  Equal: pairs((a, b) => Number(a === b)),
  Less: pairs((a, b) => Number(a < b)),
  LessOrEqual: pairs((a, b) => Number(a <= b)),
  Greater: pairs((a, b) => Number(a > b)),
  GreaterOrEqual: pairs((a, b) => Number(a >= b)),
  And: pairs((a, b) => Number(a !== 0 && b !== 0)),
  Or: pairs((a, b) => Number(a !== 0 || b !== 0)),
  Where(source) {
    const [condition, a, b] = [source.constant(0), source.constant(1), source.constant(2)];
    const shape = commonShape([condition.shape, a.shape, b.shape]);
    const [choose, yes, no] = [condition, a, b].map((constant) => expanded(constant, shape));
    const data = Float64Array.from(choose ?? [], (chosen, i) => (chosen ? yes : no)?.[i] ?? 0);
    return constantValue(shape, data, a.integer);
  },
  ReduceProd: all((a, b) => a * b, 1),
  ReduceSum: all((a, b) => a + b, 0),
};

function each(compute: (a: number) => number): OperatorReader {
  return (source) => {
    const { shape, data, integer } = source.constant(0);
    return constantValue(shape, Float64Array.from(data, compute), integer);
  };
}

function pairs(compute: (a: number, b: number, whole: boolean) => number): OperatorReader {
  return (source) => {
    const parts = source.node.input.map((_, i) => source.constant(i));
    const combined = parts.reduce((a: Constant, b: Constant): Constant => {
      const shape = commonShape([a.shape, b.shape]);
      const whole = a.integer === true && b.integer === true;
      const [left, right] = [expanded(a, shape), expanded(b, shape)];
      const data = Float64Array.from(left, (value, i) => compute(value, right[i] ?? 0, whole));
      return { shape, data, integer: whole };
    });
    return { kind: "constant", constant: combined };
  };
}

/** Over all values, as sizes are multiplied. */
function all(combine: (a: number, b: number) => number, first: number): OperatorReader {
  return (source) => {
    const { shape, data, integer } = source.constant(0);
    if (shape.length > 1) source.fail(`reduces a constant of [${shape.join()}]`);
    const kept = source.int("keepdims", 1) === 1 && shape.length === 1;
    return constantValue(kept ? [1] : [], [Array.from(data).reduce(combine, first)], integer);
  };
}
