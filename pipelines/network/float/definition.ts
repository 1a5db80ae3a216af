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
  /** Parameters that start as random numbers: uniform between minus and plus this. */
  readonly starts?: Readonly<Record<string, { readonly uniform: number }>>;
  /** A parameter as it is, with another gradient; before it is put on a grid, whose scale then gets the loss's own. */
  readonly learning?: (parameter: tf.Tensor) => tf.Tensor;
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

/** Channels, rows and columns of an image in the order of ONNX, batch at 0. */
const IMAGE_AXES = [2, 3, 1] as const;

/** The ONNX axis, with the batch in front, of an axis of a value of so many axes. */
export const onnxAxis = (axis: number, rank: number): number =>
  rank === 3 ? (IMAGE_AXES[axis] ?? 1) : axis + 1;

/**
 * The shape of what is combined elementwise, where an axis of size 1 is repeated.
 *
 * @throws RangeError when sizes differ otherwise
 */
export function broadcast(shapes: readonly FeatureShape[]): FeatureShape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = new Set(
      shapes.map((shape) => (shape.length === rank ? (shape[axis] ?? 1) : NaN)),
    );
    sizes.delete(1);
    const [size = 1, ...others] = sizes;
    if (others.length > 0 || Number.isNaN(size))
      throw new RangeError(
        `cannot combine ${shapes.map((shape) => `[${shape.join()}]`).join(" and ")}`,
      );
    return size;
  });
}
