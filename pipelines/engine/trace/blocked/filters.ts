import type { Grouping } from "../imageForms.js";
import type { BlockedImages } from "../images.js";

type Shape = readonly number[];

/** Channels of a whole group of images. */
export const groupedChannels = ({ group, inputs, outputs }: Grouping) => ({
  inputs: group * inputs,
  outputs: group * outputs,
});

/**
 * HWIO -> the order of a blocked convolution's filter for groups of images, declared OIHW. With
 * fewer input channels than a block has, the convolution reads plain NCHW.
 */
export function convolutionFilter(
  images: BlockedImages,
  name: string,
  shape: Shape,
  grouping: Grouping,
): string {
  const [kh = 1, kw = 1] = shape;
  const { block } = images.options;
  const { inputs: i, outputs: o } = groupedChannels(grouping);
  const unit = i < block ? 1 : block;
  const moved = images.transpose(
    diagonal(images, name, shape, grouping),
    [kh * kw, i / unit, unit, o / block, block],
    [3, 1, 0, 2, 4],
  );
  return images.reshape(moved, [o, i, kh, kw]);
}

/** HWIO -> [h * w, i, o] for groups of images: each sees its own channels alone. */
export function diagonal(
  images: BlockedImages,
  name: string,
  shape: Shape,
  { group, inputs, outputs }: Grouping,
): string {
  const [kh = 1, kw = 1, i = 1, o = 1] = shape;
  const full = images.padAxis(images.padAxis(name, 4, 2, inputs - i), 4, 3, outputs - o);
  if (group === 1) return full;
  const own = Array.from({ length: group * group }, (_, at) => Number(at % (group + 1) === 0));
  const spread = images.graph.add("Mul", [
    images.reshape(full, [kh * kw, 1, inputs, 1, outputs]),
    images.graph.constant("float32", [1, group, 1, group, 1], own),
  ]);
  return images.reshape(spread, [kh * kw, group * inputs, group * outputs]);
}

/** [taps, i, o] of groups of images -> the sum over the images of what each gave, HWIO */
export function diagonalSum(
  images: BlockedImages,
  name: string,
  shape: Shape,
  { group, inputs, outputs }: Grouping,
): string {
  const [kh = 1, kw = 1, i = 1, o = 1] = shape;
  const all = images.reshape(name, [kh * kw, group, inputs, group, outputs]);
  const [first = all, ...rest] =
    group === 1
      ? []
      : Array.from({ length: group }, (_, g) => images.slice(images.slice(all, 1, g, 1), 3, g, 1));
  const sum = rest.reduce((total, part) => images.graph.add("Add", [total, part]), first);
  const filled = images.reshape(sum, [kh, kw, inputs, outputs]);
  return images.cutAxis(images.cutAxis(filled, 2, i, inputs), 3, o, outputs);
}

/** HWC1 -> the filter of a depthwise convolution of blocked images of a shape. */
export function depthwiseFilter(
  images: BlockedImages,
  name: string,
  [kh = 1, kw = 1, c = 1]: Shape,
  of: Shape,
): string {
  const { block } = images.options;
  const { together, channels } = images.form(of);
  const full = images.padAxis(images.reshape(name, [kh * kw, c]), 2, 1, channels - c);
  const tiled =
    together === 1 ? full : images.graph.add("Tile", [full, images.graph.integers([1, together])]);
  return images.reshape(images.transpose(tiled, [kh * kw, -1, block], [1, 0, 2]), [-1, 1, kh, kw]);
}
