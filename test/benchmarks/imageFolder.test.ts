import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { encode } from "jpeg-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readImageFolder, resized } from "../../benchmarks/datasets/index.js";
import { trainingBatches, type Dataset } from "../../pipelines/train/index.js";
import { randomStream } from "../../pipelines/engine/index.js";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(os.tmpdir(), "quantbench-images-"));
  for (const [label, gray] of [40, 200].entries()) {
    const folder = join(directory, `class${String(label)}`);
    await mkdir(folder);
    for (const name of ["b.JPEG", "a.jpg"]) {
      const data = Buffer.alloc(60 * 40 * 4, gray);
      await writeFile(join(folder, name), encode({ width: 60, height: 40, data }, 95).data);
    }
  }
  await writeFile(join(directory, "class1", "readme.txt"), "no image");
});
afterAll(() => rm(directory, { recursive: true }));

test("folders are classes, in alphabetical order, and files are decoded when needed", async () => {
  const { set, classes } = await readImageFolder(directory, 8);
  expect(classes).toEqual(["class0", "class1"]);
  expect([...set.labels]).toEqual([0, 0, 1, 1]);
  const image = set.decode?.(3) ?? new Uint8Array();
  expect(image).toHaveLength(8 * 8 * 3);
  for (const value of image) expect(Math.abs(value - 200)).toBeLessThan(4);
});

test("training batches of decoded images repeat with their seed", async () => {
  const { set, checksum } = await readImageFolder(directory, 8);
  const dataset: Dataset = {
    ...{ name: "folder", shape: [8, 8, 3], classes: 2, mayFlip: true, checksum },
    ...{ mean: [0, 0, 0], deviation: [1, 1, 1], train: set, test: set },
  };
  const batch = () =>
    trainingBatches(dataset, {
      batchSize: 4,
      augmentation: { shift: 0, flip: true, randomCrop: true },
      seed: 1,
      name: "test",
    }).next().value;
  expect(batch()).toEqual(batch());
  expect([...batch().labels.data].sort()).toEqual([0, 0, 1, 1]);
});

test("random parts lie within the image", async () => {
  const { set } = await readImageFolder(directory, 8);
  const random = randomStream(0, "crops");
  for (let i = 0; i < 20; i++) {
    for (const value of set.decode?.(0, random) ?? []) expect(Math.abs(value - 40)).toBeLessThan(4);
  }
});

test("halving an image averages its pixels, edges taken in by their weights", () => {
  const gray = [0, 100, 200, 100];
  const data = Uint8Array.from(
    Array.from({ length: 4 * 4 }, (_, i) => gray[i % 4] ?? 0).flatMap((v) => [v, v, v, 255]),
  );
  const half = resized(
    { width: 4, height: 4, data },
    { left: 0, top: 0, width: 4, height: 4 },
    [2, 2],
  );
  // A triangle of half-width 2 about 1: weights 1/4 * (1.5, 1.5, 0.5, ...) over 3.5 / 4.
  const left = (0 * 1.5 + 100 * 1.5 + 200 * 0.5) / 3.5;
  const right = (200 * 1.5 + 100 * 1.5 + 100 * 0.5) / 3.5;
  expect(half[0]).toBe(Math.round(left));
  expect(half[3]).toBe(Math.round(right));
});

test("what is missing or broken is named", async () => {
  await expect(readImageFolder(join(directory, "nowhere"), 8)).rejects.toThrow(/nowhere/);
  await expect(readImageFolder(join(directory, "class0"), 8)).rejects.toThrow(/no folder/);
  const broken = join(directory, "class1", "c.jpg");
  await writeFile(broken, "not a picture");
  const { set } = await readImageFolder(directory, 8);
  expect(() => set.decode?.(4)).toThrow(/c\.jpg is not a readable JPEG/);
  await rm(broken);
});
