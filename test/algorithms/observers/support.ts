import type * as tf from "#tf";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { rangeOf } from "../../../algorithms/affine.js";
import type { Grid, Observer } from "../../../algorithms/observers/index.js";
import { toValues } from "../../support.js";

export const affine8 = {
  bitWidth: 8,
  signed: false,
  symmetric: false,
  narrowRange: false,
  granularity: "perTensor",
  scaleForm: "fp32",
} as const;

/** What an observer chooses after it saw the batches one after another. */
export function gridOf(
  observer: Observer,
  batches: readonly tf.Tensor[],
  site: QuantizerSite,
  index = 0,
): Grid {
  const observed = batches.map((batch) => toValues(observer.observe(batch, site)));
  return observer.grid(observed, index, site);
}

/** Normal values by Box and Muller from van der Corput's sequences: the same in every language. */
export function quasiNormal(size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(radicalInverse(i + 1, 2)));
    return radius * Math.cos(2 * Math.PI * radicalInverse(i + 1, 3));
  });
}

function radicalInverse(index: number, base: number): number {
  let [rest, digit, result] = [index, 1 / base, 0];
  while (rest > 0) {
    result += digit * (rest % base);
    rest = Math.floor(rest / base);
    digit /= base;
  }
  return result;
}

/** Mean squared error of a grid over all values, in float64 and value by value. */
export function meanSquaredError(
  values: ArrayLike<number>,
  { scale, zeroPoint }: Grid,
  site: QuantizerSite,
): number {
  const { quantMin, quantMax } = rangeOf(site);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    const code = Math.min(Math.max(Math.round(value / scale) + zeroPoint, quantMin), quantMax);
    sum += ((code - zeroPoint) * scale - value) ** 2;
  }
  return sum / values.length;
}
