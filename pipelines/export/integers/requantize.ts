import log2 from "@stdlib/math-base-special-log2";
import { roundHalfToEven } from "../../../algorithms/observers/index.js";
import type { IntegerArithmetic } from "../../../backends/backend.js";
import type { OnnxGraph } from "../../onnx/index.js";
import { byFixedPoint } from "./fixedPoint.js";
import {
  bounded,
  cast,
  roundedAndStored,
  vector,
  type Codes,
  type Rounding,
  type Target,
  type Term,
} from "./steps.js";

/** Sums as integers of another grid, in a device's arithmetic: uint8 in the graph. */
export function requantize(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  arithmetic: IntegerArithmetic,
): string {
  switch (arithmetic.multiplier) {
    case "float":
      return byFloat(graph, terms, target, arithmetic);
    case "shift":
      return byShift(graph, terms, target, arithmetic.rounding);
    case "fixedPoint":
      return byFixedPoint(graph, terms, target, arithmetic);
    default:
      return arithmetic.multiplier satisfies never;
  }
}

/** float32 factors from a term's steps to those of the target. */
const multipliers = ({ steps, divisor }: Term, { scale }: Target): Float32Array =>
  steps.map((step) => Math.fround(step / Math.fround(scale * divisor)));

function byFloat(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  { rounding, addFraction }: IntegerArithmetic,
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
  if (terms.length === 2 && first?.codes && second?.codes && addFraction !== undefined)
    return addedInFixedPoint(graph, { terms: [first, second], target, fraction: addFraction });
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
  return roundedAndStored(graph, scaled, "float32", { rounding, target });
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

/**
 * As XNNPACK's vadd: both ratios as integers over the same power of two, their products added, ties up
 * (microparams-init, qs8_add). float64 holds all of it exactly.
 */
function addedInFixedPoint(
  graph: OnnxGraph,
  {
    terms,
    target,
    fraction,
  }: { readonly terms: readonly Term[]; readonly target: Target; readonly fraction: number },
): string {
  const ratios = terms.map((term) => multipliers(term, target)[0] ?? NaN);
  const shift = fraction - Math.floor(log2(Math.max(...ratios)));
  const products = terms.map(({ tensor }, i) => {
    const multiplier = roundHalfToEven((ratios[i] ?? NaN) * 2 ** shift);
    const factor = graph.constant("float64", [], [multiplier / 2 ** shift]);
    return graph.add("Mul", [cast(graph, tensor, "float64"), factor]);
  });
  const sum = products.reduce((a, b) => graph.add("Add", [a, b]));
  return roundedAndStored(graph, sum, "float64", { rounding: "halfUp", target });
}

/** Exact: in a type that holds every sum and its shifted form. */
function byShift(
  graph: OnnxGraph,
  terms: readonly Term[],
  target: Target,
  rounding: Rounding,
): string {
  const factors = terms.map(({ steps, divisor }) =>
    Float64Array.from(steps, (step) => step / (target.scale * divisor)),
  );
  const type = fitsFloat32(terms, factors) ? "float32" : "float64";
  const sum = terms
    .map(({ tensor }, i) => {
      const shifts = vector(graph, type, factors[i] ?? [], target);
      return graph.add("Mul", [cast(graph, tensor, type), shifts]);
    })
    .reduce((a, b) => graph.add("Add", [a, b]));
  return roundedAndStored(graph, sum, type, { rounding, target });
}

/** Whether float32, which is faster, loses nothing of shifted sums that is not beyond every byte anyway. */
function fitsFloat32(terms: readonly Term[], factors: readonly Float64Array[]): boolean {
  const all = factors.flatMap((list) => [...list]);
  if (!all.every((factor) => Number.isInteger(log2(factor)))) return false;
  // A sum and half of one, up to 512 (bytes and their zero points reach 255 on both sides).
  if (terms.length === 1) return Math.min(...all) >= 2 ** -14;
  const largest = terms.length * 255 * Math.max(...all);
  return terms.every(({ codes }) => codes) && largest / Math.min(...all) < 2 ** 23;
}
