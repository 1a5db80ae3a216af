import type { QuantizerSite } from "../algorithm.js";
import { rangeOf } from "../affine.js";
import { roundHalfToEven, type Grid } from "./observer.js";

/** What a grid does to a set of values. */
export interface GridError {
  /** Sum of the squared errors. */
  readonly error: number;
  /** The scale with the least error if every value kept its integer; NaN when all are on 0. */
  readonly bestScale: number;
}

/**
 * How to measure grids on a set of values, exactly and without a look at each value: values that
 * share a level are neighbours in their order, and their sums are differences of sums from the first
 * value on.
 *
 * @param values of one scale; they are sorted in place
 */
export function errorOfGrids(values: Float32Array, site: QuantizerSite): (grid: Grid) => GridError {
  const { quantMin, quantMax } = rangeOf(site);
  const sorted = values.sort();
  const count = sorted.length;
  const [sums, squares] = [new Float64Array(count + 1), new Float64Array(count + 1)];
  for (let i = 0; i < count; i++) {
    const value = sorted[i] ?? 0;
    sums[i + 1] = (sums[i] ?? 0) + value;
    squares[i + 1] = (squares[i] ?? 0) + value * value;
  }
  return ({ scale, zeroPoint }) => {
    const [low, high] = [quantMin - zeroPoint, quantMax - zeroPoint];
    let [error, product, square] = [0, 0, 0];
    for (let start = 0; start < count;) {
      const steps = roundHalfToEven((sorted[start] ?? 0) / scale);
      const code = steps < low ? low : steps > high ? high : steps;
      // A tie is as far from the level above.
      const end = code === high ? count : firstAbove(sorted, start + 1, (code + 0.5) * scale);
      const sum = (sums[end] ?? 0) - (sums[start] ?? 0);
      const level = code * scale;
      error +=
        (squares[end] ?? 0) - (squares[start] ?? 0) - level * (2 * sum - level * (end - start));
      product += code * sum;
      square += code * code * (end - start);
      start = end;
    }
    return { error, bestScale: product / square };
  };
}

/** The first index from `from` on whose value is greater than `bound`; near ones are found first. */
function firstAbove(sorted: Float32Array, from: number, bound: number): number {
  let [below, above, width] = [from - 1, from, 1];
  while (above < sorted.length && (sorted[above] ?? 0) <= bound) {
    below = above;
    above += width;
    width *= 2;
  }
  above = Math.min(above, sorted.length);
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if ((sorted[middle] ?? 0) <= bound) below = middle;
    else above = middle;
  }
  return above;
}
