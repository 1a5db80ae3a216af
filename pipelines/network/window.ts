import type { Pair, Sides } from "../../algorithms/network.js";

/** How a convolution or pool moves over an image. */
export interface Window {
  readonly size: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: Sides;
}

/** What a convolution or pool says of its window. */
export interface WindowOptions {
  readonly size: Pair;
  readonly stride: Pair;
  readonly dilation?: Pair | undefined;
  /** If absent as much on all sides as keeps the size at stride 1, the odd one behind. */
  readonly padding?: Sides | undefined;
}

const both = (pair: Pair): readonly [number, number] =>
  typeof pair === "number" ? [pair, pair] : pair;

/** The window with everything decided. */
export function windowOf({ size, stride, dilation = 1, padding }: WindowOptions): Window {
  const [height, width] = both(size);
  const [rows, columns] = both(dilation);
  const [down, right] = [(height - 1) * rows, (width - 1) * columns];
  const [top, left] = [Math.floor(down / 2), Math.floor(right / 2)];
  return {
    size: [height, width],
    stride: both(stride),
    dilation: [rows, columns],
    padding: padding ?? [top, left, down - top, right - left],
  };
}

/**
 * Rows and columns of the result; what a last incomplete window would read is left out.
 *
 * @throws RangeError when the window is larger than the padded image
 */
export function windowOutput(
  [height, width]: readonly [number, number],
  { size, stride, dilation, padding: [top, left, bottom, right] }: Window,
): [number, number] {
  const along = (extent: number, axis: 0 | 1): number => {
    const reach = dilation[axis] * (size[axis] - 1) + 1;
    if (extent < reach)
      throw new RangeError(
        `a window of ${String(reach)} does not fit ${String(extent)} padded pixels`,
      );
    return Math.floor((extent - reach) / stride[axis]) + 1;
  };
  return [along(height + top + bottom, 0), along(width + left + right, 1)];
}
