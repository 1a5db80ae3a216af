import { ORDER } from "./matrix.js";

/** Filters that lose the same rows. */
const GROUP = 32;

/**
 * Sets the weakest rows of 3 x 3 filters to 0: of each 32 filters, those channels' rows whose magnitudes add up
 * to least.
 *
 * @param kernel [3, 3, channels, filters]
 * @param share of the rows
 */
export function pruneRows(kernel: Float32Array, filters: number, share: number): Float32Array {
  const pruned = kernel.slice();
  const channels = kernel.length / (ORDER * ORDER * filters);
  for (let first = 0; first < filters; first += GROUP) {
    const last = Math.min(first + GROUP, filters);
    const rows = Array.from({ length: ORDER * channels }, (_, i) => {
      const [row, channel] = [Math.floor(i / channels), i % channels];
      const indices: number[] = [];
      for (let column = 0; column < ORDER; column++)
        for (let filter = first; filter < last; filter++)
          indices.push(((row * ORDER + column) * channels + channel) * filters + filter);
      return { indices, size: indices.reduce((sum, at) => sum + Math.abs(kernel[at] ?? 0), 0) };
    });
    const weakest = rows
      .toSorted((a, b) => a.size - b.size)
      .slice(0, Math.floor(share * rows.length));
    for (const { indices } of weakest) for (const index of indices) pruned[index] = 0;
  }
  return pruned;
}
