import { refusal } from "../form.js";
import type { Walked } from "../walk.js";
import type { TfliteModel } from "./tfliteModel.js";

/**
 * Number of the tensor that a node became. None where it is part of the operator before it, or
 * exists in no other form than the integers of the quantizer behind it.
 */
export type Value = number | undefined;

/** A network that becomes a TensorFlow Lite model. */
export interface Writing extends Walked<Value> {
  readonly model: TfliteModel;
  /** Images at a time. */
  readonly batch: number;
  readonly packWeights: boolean;
  /** Nodes that were written with an operator before them. */
  readonly fused: Map<string, Value>;
}

/** @throws NoForm */
export const refuse = refusal("TensorFlow Lite cannot hold ");

export const tensorOf = ({ valueOf }: Writing, node: string): number =>
  valueOf(node) ?? refuse(node, "its value is needed in float between integers");

/** A node's shape with the batch in front. */
export const batchShape = ({ batch, shapeOf }: Writing, node: string): number[] => [
  batch,
  ...shapeOf(node),
];

/** A tensor's values in float: itself, or under a name of their own. */
export function inFloat({ model, free }: Writing, tensor: number, name: string): number {
  const { type, shape } = model.at(tensor);
  if (type === "float32") return tensor;
  const result = model.tensor({ name: free(name), type: "float32", shape });
  return model.add("DEQUANTIZE", [tensor], result);
}
