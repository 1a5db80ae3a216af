import * as tf from "#tf";
import type { Window } from "../window.js";

/**
 * For every place in a window, the pixels that windows have there: what pools combine. Made of
 * slices, whose gradients every engine has.
 *
 * @param x [batch, height, width, channels]
 * @param border the value of padding
 * @returns size[0] * size[1] tensors, [batch, rows, columns, channels]
 */
export function shiftedWindows(x: tf.Tensor, window: Window, border: number): tf.Tensor[] {
  const [batch = 1, height = 1, width = 1, channels = 1] = x.shape;
  const { size, stride, padding } = window;
  const count = (extent: number, axis: 0 | 1) =>
    Math.floor((extent + padding[axis] + padding[axis === 0 ? 2 : 3] - size[axis]) / stride[axis]) +
    1;
  const [rows, columns] = [count(height, 0), count(width, 1)];
  const after = (made: number, extent: number, axis: 0 | 1) =>
    Math.max(0, made * stride[axis] + size[axis] - 1 - padding[axis] - extent);
  const padded = tf.pad(
    x as tf.Tensor4D,
    [
      [0, 0],
      [padding[0], after(rows, height, 0)],
      [padding[1], after(columns, width, 1)],
      [0, 0],
    ],
    border,
  );
  return Array.from({ length: size[0] * size[1] }, (_, place) => {
    const part = tf.slice(
      padded,
      [0, Math.floor(place / size[1]), place % size[1], 0],
      [batch, rows * stride[0], columns * stride[1], channels],
    );
    if (stride[0] === 1 && stride[1] === 1) return part;
    // Every stride-th row and column, as the first of each pair of split axes.
    const split = tf.reshape(part, [batch, rows, stride[0], columns, stride[1] * channels]);
    const firsts = tf.slice(split, [0, 0, 0, 0, 0], [batch, rows, 1, columns, channels]);
    return tf.reshape(firsts, [batch, rows, columns, channels]);
  });
}
