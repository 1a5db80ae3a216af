import type { IntegerArithmetic } from "../../../backends/backend.js";
import { type OnnxGraph, type OnnxType, dataTypeCode } from "../../onnx/index.js";

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

export type Rounding = IntegerArithmetic["rounding"];

export const cast = (graph: OnnxGraph, x: string, to: OnnxType): string =>
  graph.add("Cast", [x], { to: dataTypeCode(to) });

export function vector(
  graph: OnnxGraph,
  type: OnnxType,
  values: ArrayLike<number>,
  { pixelAxes }: Target,
): string {
  const shape =
    values.length === 1 ? [] : [values.length, ...Array.from({ length: pixelAxes }, () => 1)];
  return graph.constant(type, shape, values);
}

export function rounded(
  graph: OnnxGraph,
  x: string,
  type: "float32" | "float64",
  rounding: Rounding,
): string {
  const half = graph.constant(type, [], [0.5]);
  const up = (value: string) => graph.add("Floor", [graph.add("Add", [value, half])]);
  // Each side of 0 by itself, the other one 0: several times faster than Where and Sign.
  const zero = () => graph.constant(type, [], [0]);
  const above = () => graph.add("Max", [x, zero()]);
  const below = () => graph.add("Min", [x, zero()]);
  switch (rounding) {
    case "halfToEven":
      return graph.add("Round", [x]);
    case "halfUp":
      return up(x);
    case "halfAwayFromZero":
      return graph.add("Add", [
        up(above()),
        graph.add("Ceil", [graph.add("Sub", [below(), half])]),
      ]);
    case "dpu":
      return graph.add("Add", [up(below()), graph.add("Round", [above()])]);
    default:
      return rounding satisfies never;
  }
}

/** The same for what is not negative, with less work. */
const NOT_BELOW_ZERO: Readonly<Record<Rounding, Rounding>> = {
  halfToEven: "halfToEven",
  halfUp: "halfUp",
  halfAwayFromZero: "halfUp",
  dpu: "halfToEven",
};

/** Saturated, which no rounding changes, rounded, with the zero point added, as uint8. */
export function roundedAndStored(
  graph: OnnxGraph,
  x: string,
  type: "float32" | "float64",
  { rounding, target }: { readonly rounding: Rounding; readonly target: Target },
): string {
  const { zeroPoint, low, high } = target;
  const constant = (value: number) => graph.constant(type, [], [value]);
  const clipped = graph.add("Clip", [x, constant(low - zeroPoint), constant(high - zeroPoint)]);
  const rule = low >= zeroPoint ? NOT_BELOW_ZERO[rounding] : rounding;
  const whole = rounded(graph, clipped, type, rule);
  return cast(graph, graph.add("Add", [whole, constant(zeroPoint)]), "uint8");
}

/** Whole numbers with the zero point added, saturated, as uint8. */
export function stored(graph: OnnxGraph, x: string, type: OnnxType, target: Target): string {
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
