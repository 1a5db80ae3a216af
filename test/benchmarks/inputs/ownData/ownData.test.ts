import { mkdir, rm, writeFile } from "node:fs/promises";
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

  test.each([
    ["<i8", 8],
    ["<i4", 4],
    ["<u2", 2],
    ["<i2", 2],
  ])("whole numbers of type %s from 0 to 255 are bytes", async (type, size) => {
    const path = join(await temporary(), "set.npz");
    const elements = new Uint8Array(8 * size);
    for (let i = 0; i < 8; i++) elements[i * size] = 30 * i;
    const set = (array: Uint8Array) =>
      zipSync({
        "x_train.npy": array,
        "x_test.npy": array,
        "y_test.npy": npy("|u1", [2], bytes(2)),
      });
    await writeFile(path, set(npy(type, [2, 2, 2], elements)));
    const dataset = await loadOwnData({ path });
    expect([...dataset.test.images]).toEqual([0, 30, 60, 90, 120, 150, 180, 210]);
    expect(firstImage(dataset)[1]).toBeCloseTo(30 / 255, 6);
    // Beyond a byte they are numbers as they are.
    if (size === 1) return;
    elements[1] = 1;
    await writeFile(path, set(npy(type, [2, 2, 2], elements)));
    expect(firstImage(await loadOwnData({ path }))[0]).toBe(256);
  });

  test("features are a row of numbers as they are, also whole ones", async () => {
    const path = join(await temporary(), "set.npz");
    const tokens = npy("<i8", [2, 3], int64Bytes([7, 0, 255, 3, 2, 1]));
    const labels = npy("|u1", [2], bytes(2));
    await writeFile(
      path,
      zipSync({ "x_train.npy": tokens, "x_test.npy": tokens, "y_test.npy": labels }),
    );
    const dataset = await loadOwnData({ path });
    expect(dataset).toMatchObject({ shape: [1, 3, 1], classes: 2 });
    expect(firstImage(dataset)).toEqual([7, 0, 255]);
  });

  test("16-bit floats", async () => {
    const path = join(await temporary(), "set.npz");
    const halves = new Uint8Array(Uint16Array.from([0x3c00, 0xc000, 0x3555, 0]).buffer);
    const array = npy("<f2", [1, 2, 2], halves);
    const labels = npy("|u1", [1], bytes(1));
    await writeFile(
      path,
      zipSync({ "x_train.npy": array, "x_test.npy": array, "y_test.npy": labels }),
    );
    const [one, two, third] = firstImage(await loadOwnData({ path }));
    expect([one, two]).toEqual([1, -2]);
    expect(third).toBeCloseTo(1 / 3, 3);
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

  test("all parts have one list of classes, which hidden folders are not in", async () => {
    const path = await folder("test", await folder("train", await temporary()));
    await rm(join(path, "test", "cat"), { recursive: true });
    for (const name of [".ipynb_checkpoints", "__MACOSX", "@eaDir"]) {
      await mkdir(join(path, "train", name));
      await writeFile(join(path, "train", name, "a.png"), png(8, 4, [0, 0, 0]));
    }
    const dataset = await loadOwnData({ path });
    expect(dataset).toMatchObject({ classes: 2, classNames: ["cat", "dog"] });
    expect([...dataset.test.labels]).toEqual([1, 1]);
    expect([...dataset.train.labels]).toEqual([0, 0, 1, 1]);
    await rm(join(path, "train", "dog"), { recursive: true });
    const { train, classNames } = await loadOwnData({ path });
    expect([[...train.labels], classNames]).toEqual([
      [0, 0],
      ["cat", "dog"],
    ]);
  });

  test("a stray picture beside folders of classes is named", async () => {
    const path = await folder("test", await temporary());
    await writeFile(join(path, "test", "stray.png"), png(8, 4, [0, 0, 0]));
    await expect(loadOwnData({ path })).rejects.toThrow(/picture stray\.png beside folders.*"cat"/);
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

test("single files of CIFAR-10 are read as what they are", async () => {
  const record = (label: number) =>
    Uint8Array.from({ length: 3073 }, (_, i) => (i === 0 ? label : 7));
  const records = (count: number) =>
    Buffer.concat(Array.from({ length: count }, (_, i) => record(i % 10)));
  const path = await temporary();
  await writeFile(join(path, "data_batch_3.bin"), records(10));
  const divided = await loadOwnData({ path });
  expect([divided.train.count, divided.test.count, divided.classes]).toEqual([8, 2, 10]);
  expect(divided.shape).toEqual([32, 32, 3]);
  await writeFile(join(path, "test_batch.bin"), records(3));
  const { train, test: held } = await loadOwnData({ path });
  expect([train.count, held.count]).toEqual([10, 3]);
});
