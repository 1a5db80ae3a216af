import { findNode } from "../../network/index.js";
import type { OnnxType } from "../../onnx/index.js";
import type { OnnxWalked } from "./model.js";

/** A network that becomes float operators with quantizers in between; nodes become values' names. */
export interface Writing extends OnnxWalked<string> {
  /** Weights of up to 4 bits are stored in 4, not in 8. */
  readonly packWeights: boolean;
  /** Integers of activations by their sites, with the type that holds them. */
  readonly codes: Map<string, { readonly tensor: string; readonly type: OnnxType }>;
  /** Quantizers as integers and back, or as OpenVINO's FakeQuantize on float values. */
  readonly quantizers: "integers" | "fakeQuantize";
}

/** Whether a value still has axes of rows and columns, of one each, that its node has not. */
export function hasPixelAxes({ frozen }: Writing, name: string): boolean {
  const node = findNode(frozen.network, name);
  return node.op === "globalAveragePool" && node.keepsAxes !== true;
}

/** The value of a node, with the axes that the node has. */
export function valueOf(writing: Writing, node: string): string {
  const value = writing.valueOf(node);
  return hasPixelAxes(writing, node) ? writing.graph.add("Flatten", [value]) : value;
}
