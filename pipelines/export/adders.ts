import type { FloatNode, FloatOptions } from "../../algorithms/network.js";
import { type FrozenGrid, type FrozenNetwork, isCodebook } from "../freeze/index.js";

/** An adder layer in integers: those of its filters, and the grid that they share with what it reads. */
export interface IntegerAdder {
  readonly operation: FloatOptions["adder"];
  readonly codes: Int32Array;
  readonly grid: FrozenGrid;
}

/** A node as an adder layer in integers, if it is one. */
export function integerAdder(
  { weights }: FrozenNetwork,
  { name, operation }: FloatNode,
): IntegerAdder | undefined {
  const weight = weights.get(`${name}/kernel`);
  if (operation.kind !== "adder" || weight === undefined || isCodebook(weight.on)) return undefined;
  return { operation, codes: weight.codes, grid: weight.on };
}
