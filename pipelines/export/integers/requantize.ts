import type { IntegerArithmetic } from "../../../backends/backend.js";
import { dataTypeCode, type OnnxGraph, type OnnxType } from "../../onnx/index.js";

/** Whole numbers that stand for real ones: value = tensor * steps / divisor. */
export interface Term {
  /** int32 values in the graph. */
  readonly tensor: string;
  /** One for all, or one for each channel, which is the axis behind the batch. */
  readonly steps: Float32Array;
  /** How many values a mean is over; 1 elsewhere. */
  readonly divisor: number;
  /** Where the tensor is a quantizer's integers less their zero point: those integers. */
  readonly codes?: Codes;
}

/** Integers as they are stored: uint8, signed ones with 128 added. */
export interface Codes {
  readonly tensor: string;
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface Target {
  readonly scale: number;
  readonly zeroPoint: number;
  /** Smallest and largest integer that may be stored. */
  readonly low: number;
  readonly high: number;
  /** Axes behind the channels, over which multipliers are repeated. */
  readonly pixelAxes: number;
}

/** Sums as integers of another grid, in a device's arithmetic: uint8 in the graph. */
export function requantize(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  arithmetic: IntegerArithmetic,
): string {
  switch (arithmetic.multiplier) {
    case "float":
      return byFloat(graph, terms, target, arithmetic.rounding);
    case "shift":
      return byShift(graph, terms, target, arithmetic.rounding);
    case "fixedPoint":
      return byFixedPoint(graph, terms, target, arithmetic);
    default:
      return arithmetic.multiplier satisfies never;
  }
}

type Rounding = IntegerArithmetic["rounding"];

const cast = (graph: OnnxGraph, x: string, to: OnnxType): string =>
  graph.add("Cast", [x], { to: dataTypeCode(to) });

function vector(
  graph: OnnxGraph,
  type: OnnxType,
  values: ArrayLike<number>,
  { pixelAxes }: Target,
): string {
  const shape =
    values.length === 1 ? [] : [values.length, ...Array.from({ length: pixelAxes }, () => 1)];
  return graph.constant(type, shape, values);
}

/** float32 factors from a term's steps to those of the target. */
const multipliers = ({ steps, divisor }: Term, { scale }: Target): Float32Array =>
  steps.map((step) => Math.fround(step / Math.fround(scale * divisor)));

function byFloat(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  rounding: Rounding,
): string {
  const zeroPoint = (value: number) => graph.constant("uint8", [], [value]);
  const [first, second] = terms;
  // A quantizer that reads another's integers: real values are the way.
  if (terms.length === 1 && first?.codes !== undefined && rounding === "halfToEven") {
    const { tensor, scale, zeroPoint: zero } = first.codes;
    const real = graph.add("DequantizeLinear", [tensor, graph.scalar(scale), zeroPoint(zero)]);
    const inputs = [real, graph.scalar(target.scale), zeroPoint(target.zeroPoint)];
    return bounded(graph, graph.add("QuantizeLinear", inputs), target);
  }
  // Two integers are added as by onnxruntime's MLAS: with all zero points in one number.
  if (terms.length === 2 && first?.codes && second?.codes && rounding === "halfToEven")
    return bounded(graph, addedCodes(graph, [first.codes, second.codes], target), target);
  const scaled = terms
    .map((term) => {
      const real = cast(graph, term.tensor, "float32");
      return graph.add("Mul", [real, vector(graph, "float32", multipliers(term, target), target)]);
    })
    .reduce((a, b) => graph.add("Add", [a, b]));
  if (rounding === "halfToEven") {
    const inputs = [scaled, graph.scalar(1), zeroPoint(target.zeroPoint)];
    return bounded(graph, graph.add("QuantizeLinear", inputs), target);
  }
  return stored(graph, rounded(graph, scaled, "float32", rounding), "float32", target);
}

/**
 * As MLAS's QLinearAdd on processors with fused multiply-add: b * ratio + all zero points, rounded
 * to float32, then a * ratio + that, rounded once. Found by trying every pair of integers with
 * 150 random grids; what other orders of rounding give differs in a few pairs of a million.
 */
function addedCodes(graph: OnnxGraph, [a, b]: readonly [Codes, Codes], target: Target): string {
  const [ratioA, ratioB] = [a, b].map(({ scale }) => Math.fround(scale / target.scale)) as [
    number,
    number,
  ];
  const zeros = Math.fround(ratioA * a.zeroPoint + Math.fround(ratioB * b.zeroPoint));
  const fixed = Math.fround(target.zeroPoint - zeros);
  // float64 holds products of a byte and a float32 exactly, and their sums.
  const product = ({ tensor }: Codes, ratio: number) =>
    graph.add("Mul", [cast(graph, tensor, "float64"), graph.constant("float64", [], [ratio])]);
  const second = graph.add("Add", [product(b, ratioB), graph.constant("float64", [], [fixed])]);
  const roundedOnce = cast(graph, cast(graph, second, "float32"), "float64");
  const sum = graph.add("Add", [product(a, ratioA), roundedOnce]);
  const none = graph.constant("uint8", [], [0]);
  return graph.add("QuantizeLinear", [cast(graph, sum, "float32"), graph.scalar(1), none]);
}

/** Exact: in float64, which holds every sum and its shifted form. */
function byShift(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  rounding: Rounding,
): string {
  const sum = terms
    .map((term) => {
      const factors = Float64Array.from(term.steps, (step) => step / (target.scale * term.divisor));
      const real = cast(graph, term.tensor, "float64");
      return graph.add("Mul", [real, vector(graph, "float64", factors, target)]);
    })
    .reduce((a, b) => graph.add("Add", [a, b]));
  return stored(graph, rounded(graph, sum, "float64", rounding), "float64", target);
}

/** Bits of a multiplier's mantissa, and the room left for products in 64 bits. */
const MANTISSA_BITS = 31;
const OFFSET_BITS = 60;

function byFixedPoint(
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
  const products = terms.map((term, i) =>
    graph.add("Mul", [
      cast(graph, term.tensor, "int64"),
      vector(
        graph,
        "int64",
        (aligned[i] ?? []).map(({ mantissa }) => mantissa),
        target,
      ),
    ]),
  );
  const add = (parts: readonly string[]) => parts.reduce((x, y) => graph.add("Add", [x, y]));
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
  const exponent = Math.floor(Math.log2(factor)) + 1; // factor / 2^exponent is in [1/2, 1)
  const mantissa = Math.round(factor * 2 ** (MANTISSA_BITS - exponent));
  const shift = MANTISSA_BITS - exponent;
  if (shift < 1 || shift > OFFSET_BITS - 1)
    throw new RangeError(`the multiplier ${String(factor)} has no fixed-point form`);
  return { mantissa, shift };
}

function rounded(
  graph: OnnxGraph,
  x: string,
  type: "float32" | "float64",
  rounding: Rounding,
): string {
  const half = graph.constant(type, [], [0.5]);
  const up = (value: string) => graph.add("Floor", [graph.add("Add", [value, half])]);
  switch (rounding) {
    case "halfToEven":
      return graph.add("Round", [x]);
    case "halfUp":
      return up(x);
    case "halfAwayFromZero":
      return graph.add("Mul", [graph.add("Sign", [x]), up(graph.add("Abs", [x]))]);
    case "dpu": {
      const negative = graph.add("Less", [x, graph.constant(type, [], [0])]);
      return graph.add("Where", [negative, up(x), graph.add("Round", [x])]);
    }
    default:
      return rounding satisfies never;
  }
}

/** Whole numbers with the zero point added, saturated, as uint8. */
function stored(graph: OnnxGraph, x: string, type: OnnxType, target: Target): string {
  const constant = (value: number) => graph.constant(type, [], [value]);
  const moved = graph.add("Add", [x, constant(target.zeroPoint)]);
  const clipped = graph.add("Clip", [moved, constant(target.low), constant(target.high)]);
  return cast(graph, clipped, "uint8");
}

/** Integers that uint8 saturates already, within a smaller range. */
export function bounded(
  graph: OnnxGraph,
  codes: string,
  { low, high }: Pick<Target, "low" | "high">,
): string {
  if (low === 0 && high === 255) return codes;
  const constant = (value: number) => graph.constant("uint8", [], [value]);
  return graph.add("Clip", [codes, constant(low), constant(high)]);
}
