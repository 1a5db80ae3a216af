// Steps from one element of a tensor to the next along each axis.
/** Of a tensor in row-major order, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  let stride = 1;
  return shape
    .toReversed()
    .map((size) => {
      const own = stride;
      stride *= size;
      return own;
    })
    .reverse();
}

/** Sizes and strides without axes of length 1, neighbours joined where both sides lie together. */
export function mergedAxes(
  shape: readonly number[],
  from: readonly number[],
  to: readonly number[],
): [size: number, from: number, to: number][] {
  const merged: [number, number, number][] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const [source, target] = [from[i] ?? 0, to[i] ?? 0];
    const last = merged.at(-1);
    if (last?.[1] === size * source && last[2] === size * target) {
      merged[merged.length - 1] = [last[0] * size, source, target];
    } else {
      merged.push([size, source, target]);
    }
  });
  return merged.length > 0 ? merged : [[1, 1, 1]];
}
