import { sizeOf } from "../engine/index.js";
import type { FeatureShape } from "../../algorithms/network.js";

/** How a tensor of the ONNX graph lies in the value of a node. */
export interface View {
  /**
   * For each axis of the ONNX graph's tensor behind the batch, which axis of the value it is. What
   * is not named has size 1. So transposing changes nothing but this.
   */
  readonly axes: readonly number[];
  /** So many of the first `axes` are one with the batch in the ONNX graph, as windows of images. */
  readonly folded?: number;
}

/** The value of a node of the network, as a tensor of the ONNX graph. */
export interface Feature extends View {
  readonly kind: "feature";
  readonly node: string;
  readonly shape: FeatureShape;
}

/** A tensor of the ONNX graph whose batch is not the first axis, as queries, keys and values lie. */
export interface MovedBatch {
  readonly kind: "moved";
  /** The same with the batch in front. */
  readonly feature: Feature;
  readonly batchAt: number;
}

/** Axes of an image in the ONNX graph: [channels, height, width] or [height, width, channels]. */
export const CHANNELS_FIRST: View = { axes: [2, 0, 1] };
export const CHANNELS_LAST: View = { axes: [0, 1, 2] };

export const sameView = (a: View, b: View): boolean =>
  a.axes.join() === b.axes.join() && (a.folded ?? 0) === (b.folded ?? 0);

/** Sizes of all axes that `axes` names. */
export const sizesOf = ({ shape, axes }: Feature): number[] => axes.map((axis) => shape[axis] ?? 1);

/** The shape in the ONNX graph, without the batch. */
export const dimensionsOf = (x: Feature): number[] => sizesOf(x).slice(x.folded ?? 0);

/** How many times as long as the batch the first axis of the ONNX graph's tensor is. */
export const batchesOf = (x: Feature): number => sizeOf(sizesOf(x).slice(0, x.folded ?? 0));

/** The view of a new node's value: images with channels first. */
export const usualView = (shape: FeatureShape): View =>
  shape.length === 3 ? CHANNELS_FIRST : { axes: shape.map((_, axis) => axis) };

/** Axes of the ONNX graph's tensor, with the batch in front. */
export const rankOf = ({ axes, folded = 0 }: View): number => axes.length - folded + 1;

/** An axis of the ONNX graph's tensor, counted from the batch on. */
export const resolvedAxis = (axis: number, view: View): number =>
  axis < 0 ? axis + rankOf(view) : axis;

/** The axis of a node's value for one of the ONNX graph's tensor; -1 for the batch. */
export function axisOf(axis: number, view: View): number {
  const at = resolvedAxis(axis, view) - 1;
  return at < 0 ? -1 : (view.axes[at + (view.folded ?? 0)] ?? -1);
}

/** Axes of a node's value that the ONNX graph's tensor lacks; their size is 1. */
export const unnamedAxes = ({ shape, axes }: Feature): number[] =>
  shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));

/** How sizes of a tensor lie in a node's value that has them in their order: two are a row of pixels. */
export function rowMajor(sizes: readonly number[], folded = 0) {
  const shape: FeatureShape = sizes.length === 2 ? [1, ...sizes] : [...sizes];
  const axes = sizes.map((_, axis) => axis + shape.length - sizes.length);
  return { shape, view: { axes, ...(folded > 0 && { folded }) } };
}

/** Which pixels and channels a value keeps of an image. */
export interface Selection {
  /** For each channel of the result, that of the image; undefined: zeros. */
  readonly channels: readonly (number | undefined)[];
  readonly stride: readonly [number, number];
}

/** A selection that was made, and for which value of the ONNX graph. */
export interface MadeSelection extends Selection {
  readonly by: string;
}
