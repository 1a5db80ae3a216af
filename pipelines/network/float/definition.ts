import type * as tf from "#tf";
import type { OnnxGraph } from "../../onnx/index.js";
import type { HostTensor } from "../../engine/index.js";
import type { FeatureShape, FloatKind, FloatOptions } from "../../../algorithms/network.js";

/** What an operation is computed from. */
export interface FloatInputs<T> {
  readonly inputs: readonly T[];
  /** By the names that `parameters` lists. */
  readonly parameter: (name: string) => T;
}

export interface OnnxInputs {
  readonly graph: OnnxGraph;
  /** NCHW, as all images in exports are. */
  readonly inputs: readonly string[];
  readonly shapes: readonly FeatureShape[];
  readonly parameter: (name: string) => HostTensor;
  /** Of the result. */
  readonly name: string;
}

/**
 * An operation that stays in float: its shape, its tfjs form and its ONNX form in one place.
 * Images are [height, width, channels] here and have the batch in front in `compute`.
 */
export interface Definition<O> {
  /** @throws RangeError when the inputs do not fit */
  shape(operation: O, inputs: readonly FeatureShape[]): FeatureShape;
  compute(operation: O, values: FloatInputs<tf.Tensor>): tf.Tensor;
  onnx(operation: O, values: OnnxInputs): string;
  /** Shapes of what it learns or was given, by name. */
  parameters?(
    operation: O,
    inputs: readonly FeatureShape[],
  ): Readonly<Record<string, readonly number[]>>;
  /** "never": the result cannot be negative; "kept": not where no input is. */
  readonly negative?: (operation: O) => "never" | "kept" | "possible";
  /** Averages windows: backends that pool integers quantize its input. */
  readonly pools?: true;
  /** Only moves values. */
  readonly moves?: true;
}

/** What the operation of one kind is. */
export type DefinitionOf<K extends FloatKind> = Definition<FloatOptions[K]>;

export const first = (shapes: readonly FeatureShape[]): FeatureShape => shapes[0] ?? [];

export function one<T>(values: readonly T[]): T {
  const [value] = values;
  if (value === undefined) throw new TypeError("the operation has no input");
  return value;
}
