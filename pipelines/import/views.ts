import { sizeOf } from "../engine/index.js";
import {
  CHANNELS_FIRST,
  CHANNELS_LAST,
  dimensionsOf,
  rowMajor,
  sameView,
  sizesOf,
  unnamedAxes,
  type Feature,
  type View,
} from "./feature.js";
import type { Source } from "./importing.js";

/** Drops axes of size 1 from the ONNX graph's tensor. @param axes of the node's value */
export function withoutAxes(
  source: Source,
  x: Feature,
  axes: readonly number[],
  mergeable = true,
): Feature {
  const rest = { ...x, axes: x.axes.filter((axis) => !axes.includes(axis)) };
  return rest.axes.length === 1 && rest.folded === undefined
    ? flattened(source, x, mergeable)
    : rest;
}

/** All values of an image as features. @param mergeable into the pool that gives the image */
export function flattened(source: Source, x: Feature, mergeable: boolean): Feature {
  if (x.shape.length === 1) return x;
  const { importing } = source;
  const producer = importing.find(x.node);
  if (producer?.op === "globalAveragePool" && producer.keepsAxes && mergeable) {
    const { keepsAxes: _, ...pool } = producer;
    return { kind: "feature", node: x.node, shape: importing.replace(pool), axes: [0] };
  }
  const last = sameView(x, CHANNELS_LAST);
  if (x.shape.length === 3 && (last || sameView(x, CHANNELS_FIRST)))
    return importing.add(source.output, (name) => ({
      ...{ op: "float", name, inputs: [x.node] },
      operation: { kind: "flatten", ...(last && { channelsLast: true }) },
    }));
  return importing.rearranged(source.output, x, {
    order: [...unnamedAxes(x), ...x.axes],
    shape: [sizeOf(x.shape)],
    view: { axes: [0] },
  });
}

/** Features as an image of one pixel. */
export const pixel = (source: Source, x: Feature): Feature =>
  source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node], operation: { kind: "pixel" } },
  }));

/**
 * The values in the ONNX graph's order, as a tensor of other sizes.
 *
 * @param sizes of all axes behind the batch
 * @param folded so many of the first are one with the batch
 */
export function reshaped(
  source: Source,
  x: Feature,
  sizes: readonly number[],
  folded = 0,
): Feature {
  const from = sizesOf(x);
  if (folded === 0 && (x.folded ?? 0) === 0 && sizes.length === 1)
    return flattened(source, x, source.importing.isReadOnce(source.node.input[0] ?? ""));
  const view = sameSizes(x, sizes);
  if (view !== undefined)
    return {
      kind: "feature",
      node: x.node,
      shape: x.shape,
      axes: view,
      ...(folded > 0 && { folded }),
    };
  // Channels that stay channels stay behind all other axes.
  const [channels] = from;
  const channelsStay =
    x.axes[0] === x.shape.length - 1 && channels === sizes[0] && channels !== 1 && sizes.length > 1;
  if (channelsStay) {
    const { shape, view: rest } = rowMajor([...sizes.slice(1), channels ?? 1], folded);
    const last = rest.axes.at(-1) ?? 0;
    return source.importing.rearranged(source.output, x, {
      order: [...unnamedAxes(x), ...x.axes.slice(1), ...x.axes.slice(0, 1)],
      shape,
      view: { ...rest, axes: [last, ...rest.axes.slice(0, -1)] },
    });
  }
  const { shape, view: plain } = rowMajor(sizes, folded);
  return source.importing.rearranged(source.output, x, {
    order: [...unnamedAxes(x), ...x.axes],
    shape,
    view: plain,
  });
}

/** The axes where sizes are the same but for axes of size 1, which the value has to spare. */
function sameSizes(x: Feature, sizes: readonly number[]): View["axes"] | undefined {
  const wide = x.axes.filter((axis) => x.shape[axis] !== 1);
  const spare = x.shape.map((_, axis) => axis).filter((axis) => x.shape[axis] === 1);
  const wanted = sizes.filter((size) => size !== 1);
  if (wanted.join() !== wide.map((axis) => x.shape[axis]).join()) return undefined;
  if (sizes.length - wanted.length > spare.length) return undefined;
  return sizes.map((size) => (size === 1 ? spare.shift() : wide.shift()) ?? 0);
}

/** A tensor in the ONNX graph, for messages. */
export const described = (x: Feature): string => `[${["batch", ...dimensionsOf(x)].join()}]`;
