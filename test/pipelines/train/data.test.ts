import { expect, test } from "vitest";
import {
  batchesInOrder,
  channelsFirst,
  chosenImages,
  limitDataset,
  trainingBatches,
  type Dataset,
} from "../../../pipelines/train/data.js";
import { permutation, randomStream } from "../../../pipelines/engine/index.js";
import { toyDataset } from "../../support.js";

const plain = { shift: 0, flip: false };

/** Images that hold their own index in every pixel. */
function numbered(count: number, shape = [2, 2, 1], mayFlip = false): Dataset {
  const size = shape.reduce((a, b) => a * b, 1);
  const images = Uint8Array.from({ length: count * size }, (_, i) => Math.floor(i / size));
  const set = { count, images, labels: new Uint8Array(count) };
  return {
    ...toyDataset(4),
    shape,
    mean: [0],
    deviation: [1 / 255],
    mayFlip,
    train: set,
    test: set,
  };
}

function take(
  dataset: Dataset,
  batches: number,
  options: Partial<Parameters<typeof trainingBatches>[1]> = {},
) {
  const stream = trainingBatches(dataset, {
    batchSize: 4,
    augmentation: plain,
    seed: 0,
    name: "t",
    ...options,
  });
  return Array.from({ length: batches }, () => stream.next().value);
}
const indices = (batch: { images: { data: ArrayLike<number> } }) =>
  [0, 4, 8, 12].map((start) => Math.round(batch.images.data[start] ?? -1));

test("an epoch shows every image once, each epoch in another order", () => {
  const seen = take(numbered(8), 4).map(indices);
  expect([...(seen[0] ?? []), ...(seen[1] ?? [])].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect([...(seen[2] ?? []), ...(seen[3] ?? [])].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(seen.slice(2)).not.toEqual(seen.slice(0, 2));
});

test("seed and name decide the order, and nothing else does", () => {
  const order = (options: object) => take(numbered(64), 3, options).map(indices);
  expect(order({})).toEqual(order({}));
  expect(order({ seed: 1 })).not.toEqual(order({}));
  expect(order({ name: "u" })).not.toEqual(order({}));
});

test("pixels become (pixel / 255 - mean) / deviation", () => {
  const [batch] = [...batchesInOrder(toyDataset(4), toyDataset(4).train, 4)];
  const pixel = toyDataset(4).train.images[5] ?? NaN;
  expect(batch?.images.data[5]).toBeCloseTo((pixel / 255 - 0.25) / 0.25, 6);
});

test("the last batch in order is as small as what is left", () => {
  const sizes = [...batchesInOrder(numbered(10), numbered(10).train, 4)].map(
    ({ images }) => images.shape[0],
  );
  expect(sizes).toEqual([4, 4, 2]);
});

test("images of the batch after the next one are asked for before the next one is decoded", () => {
  const { train, ...dataset } = numbered(10);
  const events: string[] = [];
  const set = {
    ...train,
    images: new Uint8Array(0),
    decode(index: number) {
      events.push(`decode ${String(index)}`);
      return new Uint8Array(4).fill(index);
    },
    ahead: (soon: Uint32Array) => events.push(`ask ${soon.join()}`),
  };
  const batches = batchesInOrder({ ...dataset, train: set }, set, 4);
  batches.next();
  expect(events[0]).toBe("ask 0,1,2,3,4,5,6,7");
  for (events.length = 0; batches.next().done !== true;);
  expect(events.filter((event) => event.startsWith("ask"))).toEqual(["ask 4,5,6,7,8,9", "ask 8,9"]);
  // Chosen images by their places in the whole set.
  const some = chosenImages(set, Uint32Array.of(7, 2, 5));
  events.length = 0;
  some.ahead?.(Uint32Array.of(0, 2));
  expect(events).toEqual(["ask 7,5"]);
  // In trainings, in the order of the epoch.
  events.length = 0;
  take({ ...numbered(10), train: set }, 2);
  const [first = "", ...decoded] = events;
  const asked = first.slice("ask ".length).split(",");
  expect(asked).toHaveLength(8);
  expect(decoded.slice(0, 4)).toEqual(asked.slice(0, 4).map((index) => `decode ${index}`));
});

test("augmentation moves images by whole pixels and mirrors them where that is allowed", () => {
  const image = Uint8Array.from({ length: 9 }, (_, i) => i + 1);
  const set = { count: 1, images: image, labels: new Uint8Array(1) };
  const dataset = { ...numbered(1, [3, 3, 1], true), train: set };
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const [batch] = take(dataset, 1, {
      batchSize: 1,
      augmentation: { shift: 1, flip: true },
      seed,
    });
    seen.add([...(batch?.images.data ?? [])].map(Math.round).join());
  }
  expect(seen.size).toBe(18); // 3 x 3 shifts, mirrored or not
  expect(seen).toContain("1,2,3,4,5,6,7,8,9");
  expect(seen).toContain("3,2,1,6,5,4,9,8,7");
  expect(seen).toContain("0,0,0,0,1,2,0,4,5");
  const unmirrored = { ...dataset, mayFlip: false };
  for (let seed = 0; seed < 50; seed++) {
    const [batch] = take(unmirrored, 1, {
      batchSize: 1,
      augmentation: { shift: 0, flip: true },
      seed,
    });
    expect([...(batch?.images.data ?? [])].map(Math.round)).toEqual([...image]);
  }
});

test.each(["bytes", "values"] as const)(
  "each channel of an image that is not square moves alike, and black enters it, in %s",
  (kind) => {
    const [height, width, channels] = [2, 3, 2];
    const pixels = Array.from({ length: height * width * channels }, (_, i) => 10 * (i + 1));
    const bytes = Uint8Array.from(pixels);
    const set = { count: 1, images: bytes, labels: new Uint8Array(1) };
    const dataset: Dataset = {
      ...numbered(1, [height, width, channels], true),
      mean: [1 / 255, 2 / 255],
      deviation: [1 / 255, 1 / 255],
      train: kind === "bytes" ? set : { ...set, values: Float32Array.from(pixels) },
    };
    // Values are normalized already; of bytes the channel's mean is taken away.
    const seen = (value: number, channel: number) => value - (kind === "bytes" ? channel + 1 : 0);
    const expected = new Set<string>();
    for (const [down, right, mirrored] of [-1, 0, 1].flatMap((d) =>
      [-1, 0, 1].flatMap((r) => [false, true].map((m) => [d, r, m] as const)),
    )) {
      const image: number[] = [];
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const [y, x] = [row - down, (mirrored ? width - 1 - column : column) - right];
          const inside = y >= 0 && y < height && x >= 0 && x < width;
          for (let channel = 0; channel < channels; channel++) {
            const value = inside ? pixels[(y * width + x) * channels + channel] : undefined;
            image.push(value === undefined && kind === "values" ? 0 : seen(value ?? 0, channel));
          }
        }
      }
      expected.add(image.join());
    }
    const made = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const augmentation = { shift: 1, flip: true };
      const [batch] = take(dataset, 1, { batchSize: 1, augmentation, seed });
      made.add([...(batch?.images.data ?? [])].map(Math.round).join());
    }
    expect(made).toEqual(expected);
  },
);

test("channelsFirst moves the channel axis", () => {
  const data = Float32Array.from({ length: 12 }, (_, i) => i);
  const moved = channelsFirst({ dtype: "float32", shape: [1, 2, 2, 3], data });
  expect(moved.shape).toEqual([1, 3, 2, 2]);
  expect([...moved.data]).toEqual([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
});

test("a limit keeps the first images", () => {
  const { train, test: rest } = limitDataset(numbered(10), { trainImages: 3 });
  expect([train.count, train.images.length, rest.count]).toEqual([3, 12, 10]);
});

test("permutation is uniform enough and complete", () => {
  const counts = new Map<string, number>();
  const random = randomStream(3, "permutation");
  for (let i = 0; i < 6000; i++) {
    const key = permutation(3, random).join();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 sigma
});
