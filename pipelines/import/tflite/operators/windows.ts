import type { Operation } from "../operation.js";
import { windowOf } from "./layers.js";

/** Pools, borders and images of another size. */
export const windows = {
  AVERAGE_POOL_2D: (operation: Operation) => {
    pool(operation, "AveragePool");
  },
  MAX_POOL_2D: (operation: Operation) => {
    pool(operation, "MaxPool");
  },

  PAD: (operation: Operation) => {
    pad(operation, operation.number(0));
  },
  PADV2: (operation: Operation) => {
    pad(operation, operation.input(2));
  },

  RESIZE_BILINEAR(operation: Operation): void {
    resize(operation, coordinatesOf(operation.flag(2), operation.flag(3)), { mode: "linear" });
  },
  RESIZE_NEAREST_NEIGHBOR(operation: Operation): void {
    const [alignsCorners, halfPixel] = [operation.flag(0), operation.flag(1)];
    const nearest = alignsCorners || halfPixel ? "round_prefer_ceil" : "floor";
    resize(operation, coordinatesOf(alignsCorners, halfPixel), {
      ...{ mode: "nearest", nearest_mode: nearest },
    });
  },

  DEPTH_TO_SPACE(operation: Operation): void {
    const [, height = -1, width = -1, channels = -1] = operation.shape(0);
    const size = operation.int(0);
    blocks(operation, {
      split: [0, height, width, size, size, channels / (size * size)],
      order: [0, 1, 3, 2, 4, 5],
      joined: [0, height * size, width * size, channels / (size * size)],
    });
  },
  SPACE_TO_DEPTH(operation: Operation): void {
    const [, height = -1, width = -1, channels = -1] = operation.shape(0);
    const size = operation.int(0);
    const [rows, columns] = [height / size, width / size];
    blocks(operation, {
      split: [0, rows, size, columns, size, channels],
      order: [0, 1, 3, 2, 4, 5],
      joined: [0, rows, columns, channels * size * size],
    });
  },
};

function pool(operation: Operation, operator: "AveragePool" | "MaxPool"): void {
  const kernel = [operation.int(4), operation.int(3)];
  const attributes = { ...windowOf(operation), kernel_shape: kernel };
  operation.giveImage(operation.byte(5), operator, [operation.channelsFirst(0)], attributes);
}

/** @param value the name of what the border is filled with */
function pad(operation: Operation, value: string): void {
  const counts = operation.integers(1);
  const at = (axis: number, side: 0 | 1) => counts[2 * axis + side] ?? 0;
  const axes = [0, 3, 1, 2];
  const pads = [...axes.map((axis) => at(axis, 0)), ...axes.map((axis) => at(axis, 1))];
  operation.giveImage(0, "Pad", [operation.channelsFirst(0), operation.listed(pads), value]);
}

/** Where in the image the middle of a new pixel is, as ONNX calls it. */
const coordinatesOf = (alignsCorners: boolean, halfPixel: boolean): string =>
  alignsCorners ? "align_corners" : halfPixel ? "half_pixel" : "asymmetric";

function resize(
  operation: Operation,
  coordinates: string,
  attributes: Readonly<Record<string, string>>,
): void {
  const [height = 0, width = 0] = operation.integers(1);
  const sizes = operation.listed([1, operation.shape(0)[3] ?? 1, height, width]);
  operation.giveImage(0, "Resize", [operation.channelsFirst(0), "", "", sizes], {
    ...{ ...attributes, coordinate_transformation_mode: coordinates },
  });
}

interface Blocks {
  readonly split: readonly number[];
  readonly order: readonly number[];
  readonly joined: readonly number[];
}

function blocks(operation: Operation, { split, order, joined }: Blocks): void {
  if (![...split, ...joined].every((size) => Number.isInteger(size) && size >= 0))
    operation.fail(`makes blocks of [${operation.shape(0).join()}] that do not fit`);
  const apart = operation.add("Reshape", [operation.input(0), operation.listed(split)]);
  const turned = operation.add("Transpose", [apart], { perm: order });
  operation.give("Reshape", [turned, operation.listed(joined)]);
}
