import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { loadOwnData } from "../../../../benchmarks/inputs/ownData/index.js";
import { readPreprocessing } from "../../../../benchmarks/inputs/ownData/preprocessing.js";
import { batchesInOrder, type Dataset } from "../../../../pipelines/train/index.js";
import { float32Bytes, int64Bytes, npy, png, temporary } from "./files.js";

const firstImage = (dataset: Dataset, set = dataset.test): number[] => {
  const { value } = batchesInOrder(dataset, set, 1).next();
  return Array.from(value?.images.data ?? []);
};
const bytes = (count: number, value = (i: number) => i): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => value(i));

describe("arrays", () => {
  test("one set is divided: every fifth image is for testing", async () => {
    const path = join(await temporary(), "set.npz");
    const files = {
      "images.npy": npy("|u1", [10, 2, 2, 1], bytes(40)),
      "labels.npy": npy("<i8", [10], int64Bytes([0, 1, 2, 0, 1, 2, 0, 1, 2, 3])),
    };
    await writeFile(path, zipSync(files));
    const dataset = await loadOwnData({
      path,
      preprocessing: { mean: [0.5], deviation: [0.25] },
    });
    expect(dataset).toMatchObject({ name: "set.npz", shape: [2, 2, 1], classes: 4 });
    expect([...dataset.train.labels]).toEqual([0, 1, 2, 0, 2, 0, 1, 2]);
    expect([...dataset.test.labels]).toEqual([1, 3]);
    // The fifth image has the bytes 16 to 19.
    const expected = [16, 17, 18, 19].map((byte) => (byte / 255 - 0.5) / 0.25);
    firstImage(dataset).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] ?? NaN, 6);
    });
  });

  test("parts by name, channels first, floats as they are", async () => {
    const path = await temporary();
    const values = Array.from({ length: 12 }, (_, i) => i / 10);
    await writeFile(join(path, "x_test.npy"), npy("<f4", [1, 3, 2, 2], float32Bytes(values)));
    await writeFile(join(path, "y_test.npy"), npy("<i8", [1], int64Bytes([1])));
    await writeFile(
      join(path, "x_train.npy"),
      npy("<f4", [2, 3, 2, 2], float32Bytes([...values, ...values])),
    );
    const dataset = await loadOwnData({ path });
    expect(dataset.shape).toEqual([2, 2, 3]);
    expect(dataset.train).toMatchObject({ count: 2, labels: new Uint16Array(0) });
    const expected = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map((i) => Math.fround(i / 10));
    expect(firstImage(dataset)).toEqual(expected);
  });

  test.each<[string, Record<string, Uint8Array>, RegExp]>([
    ["no images", { "a.npy": npy("|u1", [1], bytes(1)) }, /no array "images".*but a/],
    ["no labels", { "images.npy": npy("|u1", [5, 2, 2], bytes(20)) }, /test images have no labels/],
    [
      "other labels than images",
      {
        "images.npy": npy("|u1", [5, 2, 2], bytes(20)),
        "labels.npy": npy("|u1", [4], bytes(4)),
      },
      /5 images need as many labels, there are \[4\]/,
    ],
    ["a cut-off array", { "images.npy": npy("<f4", [5, 2, 2], bytes(20)) }, /needs 80 bytes/],
    ["no array at all", { "images.npy": bytes(50) }, /is no \.npy file/],
    [
      "text",
      { "images.npy": npy("<U5", [5, 2, 2], bytes(20)) },
      /elements of type "<U5"; accepted are <u1/,
    ],
  ])("%s is told", async (_, files, message) => {
    const path = join(await temporary(), "set.npz");
    await writeFile(path, zipSync(files));
    await expect(loadOwnData({ path })).rejects.toThrow(message);
  });
});

describe("image files", () => {
  /** Two classes of two images each, 8 x 4 pixels. */
  async function folder(part: string, root: string): Promise<string> {
    for (const [name, colour] of [
      ["cat", [200, 100, 0]],
      ["dog", [0, 50, 250]],
    ] as const) {
      await mkdir(join(root, part, name), { recursive: true });
      for (const file of ["a.png", "b.png"])
        await writeFile(join(root, part, name, file), png(8, 4, colour));
    }
    return root;
  }

  test("folders of classes, cropped and in the wanted colours", async () => {
    const path = await folder("test", await folder("train", await temporary()));
    const dataset = await loadOwnData({
      path,
      preprocessing: { resize: 2, crop: [2, 2], channels: "bgr", classes: ["dog", "cat"] },
    });
    expect(dataset).toMatchObject({ shape: [2, 2, 3], classes: 2 });
    expect([...dataset.test.labels]).toEqual([1, 1, 0, 0]);
    const pixel = [0, 100 / 255, 200 / 255].map(Math.fround);
    expect(firstImage(dataset)).toEqual([...pixel, ...pixel, ...pixel, ...pixel]);
  });

  test("gray values are weighted as in BT.601", async () => {
    const path = await folder("test", await temporary());
    await expect(loadOwnData({ path })).rejects.toThrow(/4 images are too few/);
    await folder("train", path);
    const { test: set } = await loadOwnData({ path, preprocessing: { channels: "gray" } });
    // 0.299 * 200 + 0.587 * 100 = 118.5
    expect(new Set(set.images)).toEqual(new Set([119, 58]));
  });

  test("calibration images need no labels", async () => {
    const path = await folder("val", await temporary());
    await mkdir(join(path, "calibration"));
    await writeFile(join(path, "calibration", "one.png"), png(8, 4, [1, 2, 3]));
    const { train, test: set } = await loadOwnData({ path });
    expect([train.count, train.labels.length, set.count]).toEqual([1, 0, 4]);
  });

  test("images of several sizes ask for a size", async () => {
    const path = await folder("test", await folder("train", await temporary()));
    await writeFile(join(path, "test", "dog", "c.png"), png(5, 5, [0, 0, 0]));
    await expect(loadOwnData({ path })).rejects.toThrow(/5 x 5, others 4 x 8: say how to resize/);
  });

  test("a damaged file is named", async () => {
    const path = await folder("test", await temporary());
    await writeFile(join(path, "test", "cat", "c.png"), png(8, 4, [0, 0, 0]).subarray(0, 40));
    await expect(loadOwnData({ path })).rejects.toThrow(/c\.png is not a readable/);
  });
});

test("what is not there says what could be", async () => {
  await expect(loadOwnData({ path: "/nowhere" })).rejects.toThrow(
    /no images at \/nowhere; it may also be fashionMnist/,
  );
});

test("keys of the preprocessing are checked", async () => {
  const path = join(await temporary(), "prepare.yaml");
  await writeFile(path, "meen: [0.5]\n");
  await expect(readPreprocessing(path)).rejects.toThrow(/"meen".*mean/s);
  await writeFile(path, "resize: [1, 2, 3]\n");
  await expect(readPreprocessing(path)).rejects.toThrow(/resize/);
});
