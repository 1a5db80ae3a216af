import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { CONFIDENCE, mean } from "./moments.js";

const RESAMPLES = 2000;

/**
 * Percentile interval of a mean by drawing again from the values (Efron, 1979). The draws are the
 * same on every call, so that reports are.
 */
export function bootstrapInterval(values: readonly number[]): readonly [number, number] {
  const random = xoroshiro128plus(1);
  const means = Array.from({ length: RESAMPLES }, () =>
    mean(values.map(() => values[uniformInt(random, 0, values.length - 1)] ?? 0)),
  ).sort((a, b) => a - b);
  const at = (share: number) => means[Math.round(share * (RESAMPLES - 1))] ?? NaN;
  return [at((1 - CONFIDENCE) / 2), at((1 + CONFIDENCE) / 2)];
}
