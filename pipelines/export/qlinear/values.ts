import { refusal } from "../form.js";
import type { OnnxWalked } from "../onnx/model.js";
import type { StorageType } from "../onnx/storage.js";

/** Names of an operand: its integers and what they stand for. */
export interface Codes {
  readonly tensor: string;
  readonly type: StorageType;
  /** Scale and zero point. */
  readonly grid: readonly [string, string];
}

/** The grid that an operator is to write. */
export interface Target extends Omit<Codes, "tensor"> {
  /** Of the result; absent where a Clip follows. */
  readonly name?: string;
}

/** An operator that waits for the grid of its output. */
interface Waiting {
  readonly into: (target: Target) => string;
  readonly real: () => string;
  /** Nothing below 0 is wanted. */
  readonly rectified: boolean;
}

/** What a node gives: integers, real numbers, or an operator that waits. */
export type Value = { readonly codes: Codes } | { readonly real: string } | Waiting;

/** A network that becomes QLinear operators. */
export type Writing = OnnxWalked<Value>;

/** @throws NoForm */
export const refuse = refusal("QLinear operators cannot hold ");

export const isWaiting = (value: Value): value is Waiting => "into" in value;

export function codesOf({ valueOf }: Writing, node: string): Codes | undefined {
  const value = valueOf(node);
  return "codes" in value ? value.codes : undefined;
}

/** Integers with scale and zero point, as operators take them. */
export const operand = ({ tensor, grid }: Codes): string[] => [tensor, ...grid];

/** A node's value in real numbers. */
export function realOf({ graph, valueOf }: Writing, node: string): string {
  const value = valueOf(node);
  if ("codes" in value) return graph.add("DequantizeLinear", operand(value.codes));
  if (!isWaiting(value)) return value.real;
  return value.rectified ? graph.add("Relu", [value.real()]) : value.real();
}

/** An operator whose integers have its input's type; other types are reached by real numbers. */
export function waiting(
  { graph }: Writing,
  type: StorageType,
  { real, into }: Omit<Waiting, "rectified">,
): Waiting {
  return {
    ...{ real, rectified: false },
    into: (target) =>
      target.type === type
        ? into(target)
        : graph.add("QuantizeLinear", [real(), ...target.grid], {}, target.name),
  };
}
