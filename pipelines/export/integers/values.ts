import type { IntegerArithmetic } from "../../../backends/backend.js";
import { type OnnxGraph, dataTypeCode } from "../../onnx/index.js";
import { refusal } from "../form.js";
import type { OnnxWalked } from "../onnx/model.js";
import type { Codes, Term } from "./steps.js";

/** What a node gives: a sum of integers that is not on a grid yet, or real numbers. */
export type Value = Sum | { readonly real: string };
interface Sum {
  readonly terms: readonly Term[];
  /** Nothing below 0: becomes the lowest integer of the grid that it is put on. */
  readonly rectified: boolean;
}
export const isSum = (value: Value): value is Sum => "terms" in value;
export const sumOf = (...terms: readonly Term[]): Sum => ({ terms, rectified: false });

/** A network that becomes a backend's integers. */
export interface Writing extends OnnxWalked<Value> {
  readonly arithmetic: IntegerArithmetic;
}

/** @throws NoForm */
export const refuse = refusal("");

/** Of signed integers, which are stored unsigned. */
export const OFFSET = 128;

/** The one term of a value that is whole steps, if it is. */
export function onGrid({ valueOf }: Writing, node: string): Term | undefined {
  const value = valueOf(node);
  return isSum(value) && value.terms.length === 1 && !value.rectified ? value.terms[0] : undefined;
}

/** A quantizer's integers less their zero point. */
export function centered(graph: OnnxGraph, codes: Codes): Term {
  const wide = graph.add("Cast", [codes.tensor], { to: dataTypeCode("int32") });
  const tensor = graph.add("Sub", [wide, graph.constant("int32", [], [codes.zeroPoint])]);
  return { tensor, steps: Float32Array.of(codes.scale), divisor: 1, codes };
}

/** A node's value in real numbers. */
export function realOf({ graph, valueOf, shapeOf }: Writing, node: string): string {
  const value = valueOf(node);
  if (!isSum(value)) return value.real;
  const pixelAxes = Array.from({ length: shapeOf(node).length - 1 }, () => 1);
  const sum = value.terms
    .map(({ tensor, steps, divisor }) => {
      const wide = graph.add("Cast", [tensor], { to: dataTypeCode("float32") });
      const factors = steps.map((step) => Math.fround(step / divisor));
      const shape = factors.length === 1 ? [] : [factors.length, ...pixelAxes];
      return graph.add("Mul", [wide, graph.constant("float32", shape, factors)]);
    })
    .reduce((a, b) => graph.add("Add", [a, b]));
  return value.rectified ? graph.add("Relu", [sum]) : sum;
}
