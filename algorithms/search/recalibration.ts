import type { QuantizerValue, QuantizerValues } from "../algorithm.js";
import type { ImageBatch, Laboratory, Runs } from "../laboratory.js";
import { imagesOf } from "./batches.js";

/** Images that batch norm is measured on. */
const MEASURED_IMAGES = 512;

/** Training batches that batch norm is measured on: 512 images, or all. */
export function measuredBatches({ epoch }: Pick<Laboratory, "epoch">): readonly ImageBatch[] {
  const taken: ImageBatch[] = [];
  for (const batch of epoch("measured")) {
    if (imagesOf(taken) >= MEASURED_IMAGES) break;
    taken.push(batch);
  }
  return taken;
}

/** What running statistics keep of the old ones at each batch. */
const KEPT = 0.9;

/**
 * Batch norm's statistics anew: the mean over batches of each batch's own. Empty where batch norm is merged
 * or frozen.
 *
 * @param run of an experiment that trains
 */
export async function measuredStatistics(
  run: Runs,
  inputs: QuantizerValues,
  batches: readonly ImageBatch[],
): Promise<QuantizerValues> {
  const sums = new Map<string, { shape: readonly number[]; sum: Float64Array }>();
  for (const batch of batches) {
    const { statistics } = await run(inputs, batch);
    if (Object.keys(statistics).length === 0) return {};
    for (const [name, { shape, data }] of Object.entries(statistics)) {
      const { sum } = sums.get(name) ?? { sum: new Float64Array(data.length) };
      const old = inputs[name]?.data;
      data.forEach((updated, i) => {
        sum[i] = (sum[i] ?? 0) + (updated - KEPT * (old?.[i] ?? NaN)) / (1 - KEPT);
      });
      sums.set(name, { shape, sum });
    }
  }
  return Object.fromEntries(
    [...sums].map(([name, { shape, sum }]): [string, QuantizerValue] => {
      const least = name.endsWith("/variance") ? 0 : -Infinity; // rounding may leave less
      const data = Float32Array.from(sum, (total) => Math.max(least, total / batches.length));
      return [name, { shape, data }];
    }),
  );
}
