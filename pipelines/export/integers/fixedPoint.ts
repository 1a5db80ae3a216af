import log2 from "@stdlib/math-base-special-log2";
import type { IntegerArithmetic } from "../../../backends/backend.js";
import type { OnnxGraph, OnnxType } from "../../onnx/index.js";
import {
  cast,
  rounded,
  roundedAndStored,
  stored,
  vector,
  type Rounding,
  type Target,
  type Term,
} from "./steps.js";

/** Bits of a multiplier's mantissa, and the room left for products in 64 bits. */
const MANTISSA_BITS = 31;
const OFFSET_BITS = 60;
/** Up to this shift float64 holds the products that become bytes: 9 bits before the point, 43 behind it. */
const EXACT_SHIFT = 43;

/** By mantissas in 64-bit products, which are shifted right. */
export function byFixedPoint(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  { rounding, roundsAddends = false }: IntegerArithmetic,
): string {
  const forms = terms.map(({ steps, divisor }) =>
    Array.from(steps, (step) => fixedPoint(step / (target.scale * divisor))),
  );
  // Terms that are added before they are rounded share a shift, that of the largest factor.
  const shared = roundsAddends ? undefined : Math.min(...forms.flat().map(({ shift }) => shift));
  const aligned = forms.map((list) =>
    list.map(({ mantissa, shift }): FixedPoint => {
      if (shared === undefined || terms.length === 1) return { mantissa, shift };
      return { mantissa: Math.round(mantissa / 2 ** (shift - shared)), shift: shared };
    }),
  );
  const multiplied = (type: OnnxType, of: (form: FixedPoint) => number) =>
    terms.map(({ tensor }, i) => {
      const multipliers = vector(graph, type, (aligned[i] ?? []).map(of), target);
      return graph.add("Mul", [cast(graph, tensor, type), multipliers]);
    });
  const add = (parts: readonly string[]) => parts.reduce((x, y) => graph.add("Add", [x, y]));
  // Several times faster, and the same: what is beyond a byte may be inexact where nothing is added to it.
  const isAlone = terms.length === 1 || terms.every(({ codes }) => codes);
  if (isAlone && aligned.flat().every(({ shift }) => shift <= EXACT_SHIFT)) {
    const products = multiplied("float64", ({ mantissa, shift }) => mantissa / 2 ** shift);
    if (!roundsAddends)
      return roundedAndStored(graph, add(products), "float64", { rounding, target });
    const addends = products.map((x) => rounded(graph, x, "float64", rounding));
    return stored(graph, add(addends), "float64", target);
  }
  const products = multiplied("int64", ({ mantissa }) => mantissa);
  const shifted = (product: string, of: readonly FixedPoint[]) =>
    shiftedRight(graph, product, { forms: of, target, rounding });
  const whole = roundsAddends
    ? add(products.map((product, i) => shifted(product, aligned[i] ?? [])))
    : shifted(add(products), aligned[0] ?? []);
  return stored(graph, whole, "int64", target);
}

/** int64 values over powers of two, rounded. */
function shiftedRight(
  graph: OnnxGraph,
  product: string,
  {
    forms,
    target,
    rounding,
  }: {
    readonly forms: readonly FixedPoint[];
    readonly target: Target;
    readonly rounding: Rounding;
  },
): string {
  const constant = (type: OnnxType, of: (form: FixedPoint) => number) =>
    vector(graph, type, forms.map(of), target);
  const up = graph.add("Add", [product, constant("int64", ({ shift }) => 2 ** (shift - 1))]);
  // Away from zero, a negative tie goes down: one less before the shift.
  const isNegative = graph.add("Less", [product, graph.constant("int64", [], [0])]);
  const sum =
    rounding === "halfAwayFromZero" ? graph.add("Sub", [up, cast(graph, isNegative, "int64")]) : up;
  // Only unsigned integers can be shifted: an offset, a multiple of the divisor, keeps them so.
  const offset = graph.constant("int64", [], [2 ** OFFSET_BITS]);
  const positive = cast(graph, graph.add("Add", [sum, offset]), "uint64");
  const places = constant("uint64", ({ shift }) => shift);
  const moved = graph.add("BitShift", [positive, places], { direction: "RIGHT" });
  return graph.add("Sub", [
    cast(graph, moved, "int64"),
    constant("int64", ({ shift }) => 2 ** (OFFSET_BITS - shift)),
  ]);
}

interface FixedPoint {
  readonly mantissa: number;
  readonly shift: number;
}

/** factor = mantissa / 2^shift, the mantissa with 31 bits (Jacob et al., 2018, section 2.2). */
export function fixedPoint(factor: number): FixedPoint {
  const exponent = Math.floor(log2(factor)) + 1; // factor / 2^exponent is in [1/2, 1)
  const mantissa = Math.round(factor * 2 ** (MANTISSA_BITS - exponent));
  const shift = MANTISSA_BITS - exponent;
  if (shift < 1 || shift > OFFSET_BITS - 1)
    throw new RangeError(`the multiplier ${String(factor)} has no fixed-point form`);
  return { mantissa, shift };
}
