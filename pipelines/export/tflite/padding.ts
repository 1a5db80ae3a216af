import type { ConvNode, MaxPoolNode } from "../../../algorithms/network.js";
import { type Window, windowOf, windowOutput } from "../../network/index.js";
import { poolOptions } from "./options.js";
import { tensorOf, type Writing } from "./writing.js";

/**
 * The image with a border, as windows here have it on all sides.
 *
 * @param border the border's integers; real zeros if absent
 */
export function padded(
  writing: Writing,
  { name, input }: ConvNode | MaxPoolNode,
  { padding, border }: Pick<Window, "padding"> & { readonly border?: number },
): number {
  const { model, free } = writing;
  const tensor = tensorOf(writing, input);
  const [top, left, bottom, right] = padding;
  if (top + left + bottom + right === 0) return tensor;
  const { shape, grid } = model.at(tensor);
  const [size = 1, height = 1, width = 1, channels = 1] = shape;
  const pads = model.tensor({
    ...{ name: free(`${name} pads`), type: "int32", shape: [4, 2] },
    data: Int32Array.of(0, 0, top, bottom, left, right, 0, 0),
  });
  const result = model.tensor({
    ...{ name: free(`${name} padded`), type: "int8" },
    shape: [size, height + top + bottom, width + left + right, channels],
    ...(grid && { grid }),
  });
  if (border === undefined) return model.add("PAD", [tensor, pads], result);
  const value = model.tensor({
    ...{ name: free(`${name} border`), type: "int8", shape: [1] },
    ...{ data: Int8Array.of(border), ...(grid && { grid }) },
  });
  return model.add("PADV2", [tensor, pads, value], result);
}

/** Gives integers of its input's grid; a quantizer behind it rescales. */
export function maxPool(node: MaxPoolNode, writing: Writing): number {
  const { model } = writing;
  const window = windowOf(node);
  const input = padded(writing, node, { ...window, border: -128 });
  const { shape, grid } = model.at(input);
  const [batch = 1, height = 1, width = 1, channels = 1] = shape;
  const extent = windowOutput([height, width], { ...window, padding: [0, 0, 0, 0] });
  const result = model.tensor({
    ...{ name: node.name, type: "int8", shape: [batch, ...extent, channels] },
    ...(grid && { grid }),
  });
  return model.add("MAX_POOL_2D", [input], result, poolOptions(window));
}
