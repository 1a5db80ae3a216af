import type { ImageBatch, Laboratory } from "../laboratory.js";

export const imagesOf = (batches: readonly ImageBatch[]): number =>
  batches.reduce((sum, { labels }) => sum + labels.data.length, 0);

/** Batches of at most so many images each; what is left over is left out. */
export function parted({ images, labels }: ImageBatch, size: number): readonly ImageBatch[] {
  const count = labels.data.length;
  const each = images.data.length / count;
  const used = Math.min(size, count);
  return Array.from({ length: Math.floor(count / used) }, (_, i) => ({
    images: {
      ...images,
      shape: [used, ...images.shape.slice(1)],
      data: images.data.slice(i * used * each, (i + 1) * used * each),
    },
    labels: { ...labels, shape: [used], data: labels.data.slice(i * used, (i + 1) * used) },
  }));
}

/** Training batches, epoch after epoch. */
export function* endless({ epoch }: Laboratory, name: string): Generator<ImageBatch> {
  for (let i = 0; ; i++) yield* epoch(`${name} ${String(i)}`);
}
