import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { CONFIDENCE } from "./moments.js";

const RESAMPLES = 1000;

const draws = new Map<number, Uint32Array>();

/** Which of so many values each resample takes: [resamples, values]. The same on every call. */
function drawsOf(count: number): Uint32Array {
  const random = xoroshiro128plus(1);
  const known =
    draws.get(count) ??
    Uint32Array.from({ length: RESAMPLES * count }, () => uniformInt(random, 0, count - 1));
  draws.set(count, known);
  return known;
}

/**
 * Percentile interval of a mean by drawing again from the values (Efron, 1979). The draws are the
 * same for the same number of values, so that reports are, and so that hundreds of intervals
 * share the work of drawing.
 */
export function bootstrapInterval(values: readonly number[]): readonly [number, number] {
  const count = values.length;
  const places = drawsOf(count);
  const drawn = Float64Array.from(values);
  const means = Float64Array.from({ length: RESAMPLES }, (_, resample) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += drawn[places[resample * count + i] ?? 0] ?? 0;
    return sum / count;
  }).sort();
  const at = (share: number) => means[Math.round(share * (RESAMPLES - 1))] ?? NaN;
  return [at((1 - CONFIDENCE) / 2), at((1 + CONFIDENCE) / 2)];
}
