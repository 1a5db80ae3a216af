import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { datasets } from "../../benchmarks/datasets/index.js";
import { loadOwnData } from "../../benchmarks/inputs/index.js";
import { lookup } from "../../benchmarks/lookup.js";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(os.tmpdir(), "quantbench-data-"));
});
const put = (name: string, bytes: Uint8Array) => writeFile(join(directory, name), bytes);
const load = (name: string) => lookup("dataset", name, datasets).load(directory);

function idx(shape: number[], data: number[]): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt8(8, 2);
  header.writeUInt8(shape.length, 3);
  shape.forEach((size, i) => header.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([header, Buffer.from(data)]);
}

async function putMnist(overrides: Record<string, Uint8Array> = {}): Promise<void> {
  const files: Record<string, Uint8Array> = {
    "train-images-idx3-ubyte": idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
    "train-labels-idx1-ubyte": idx([2], [9, 0]),
    "t10k-images-idx3-ubyte.gz": gzipSync(idx([1, 2, 2], [9, 8, 7, 6])),
    "t10k-labels-idx1-ubyte": idx([1], [3]),
    ...overrides,
  };
  for (const [name, bytes] of Object.entries(files)) await put(name, bytes);
}

test("the embedded data set has the official test images and balanced training classes", async () => {
  const { train, test: official, shape } = await load("fashionMnist");
  expect([train.count, official.count, ...shape]).toEqual([20000, 10000, 28, 28, 1]);
  for (const { labels, count } of [train, official]) {
    for (let label = 0; label < 10; label++) {
      expect(labels.filter((value) => value === label)).toHaveLength(count / 10);
    }
  }
});

describe("IDX files", () => {
  test("are read plain or packed", async () => {
    await putMnist();
    const { train, test: rest, shape } = await load("mnist");
    expect(shape).toEqual([2, 2, 1]);
    expect([...train.images]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...train.labels, ...rest.labels]).toEqual([9, 0, 3]);
    expect([...rest.images]).toEqual([9, 8, 7, 6]);
  });

  test.each([
    ["missing", {}, "", /missing data file: neither .*ubyte nor .*ubyte\.gz exists/],
    [
      "truncated",
      { "train-images-idx3-ubyte": idx([2, 2, 2], [1, 2]) },
      "mnist",
      /truncated.*needs 8 bytes, got 2/,
    ],
    [
      "of another kind",
      { "train-images-idx3-ubyte": Buffer.from("hello, world") },
      "mnist",
      /not an IDX file/,
    ],
    [
      "of another rank",
      { "train-labels-idx1-ubyte": idx([1, 2], [1, 2]) },
      "mnist",
      /rank 1, got type 8 of rank 2/,
    ],
    [
      "labelled wrongly",
      { "train-labels-idx1-ubyte": idx([2], [1, 77]) },
      "mnist",
      /label 77; labels go from 0 to 9/,
    ],
    [
      "of different lengths",
      { "train-labels-idx1-ubyte": idx([1], [1]) },
      "mnist",
      /2 images, but .* 1 labels/,
    ],
    [
      "not gzip",
      { "t10k-images-idx3-ubyte.gz": Buffer.from("no gzip") },
      "mnist",
      /cannot be unpacked/,
    ],
  ] as const)("%s: a clear error", async (_, overrides, present, message) => {
    if (present === "mnist") await putMnist(overrides);
    await expect(load("mnist")).rejects.toThrow(message);
  });

  test("of a folder are MNIST's unless one of them is Fashion-MNIST's, which calls its files the same", async () => {
    await putMnist();
    expect(await loadOwnData({ path: directory })).toMatchObject({
      mean: [0.1307],
      shape: [2, 2, 1],
    });
    const official = "t10k-labels-idx1-ubyte";
    await rm(join(directory, official));
    await copyFile(
      `benchmarks/datasets/fashionMnist/${official}.gz`,
      join(directory, `${official}.gz`),
    );
    await expect(loadOwnData({ path: directory })).rejects.toThrow(
      /is corrupted or another version/,
    );
  });

  test("whose checksum is known and differs are rejected", async () => {
    await putMnist();
    await expect(load("fashionMnistFull")).rejects.toThrow(
      /corrupted or another version: its SHA-256/,
    );
  });
});

describe("CIFAR files", () => {
  const record = (labels: number[], value: number) =>
    Buffer.concat([
      Buffer.from(labels),
      ...[0, 1, 2].map((channel) => Buffer.alloc(1024, value + channel)),
    ]);

  test("have their planes turned into pixels, and the fine label of CIFAR-100", async () => {
    await put("train.bin", Buffer.concat([record([4, 50], 10), record([5, 99], 20)]));
    await put("test.bin", record([0, 7], 30));
    const { train, test: rest } = await load("cifar100");
    expect([...train.labels, ...rest.labels]).toEqual([50, 99, 7]);
    expect([...train.images.subarray(0, 4)]).toEqual([10, 11, 12, 10]);
    expect(train.images.at(-1)).toBe(22);
  });

  test("that may be of either kind are rejected", async () => {
    const both = new Uint8Array(3073 * 3074);
    await put("train.bin", both);
    await put("test.bin", both);
    await expect(load("cifar100")).rejects.toThrow(
      /train\.bin may be CIFAR-10 as well as CIFAR-100/,
    );
    for (const i of [1, 2, 3, 4, 5]) await put(`data_batch_${String(i)}.bin`, both);
    await put("test_batch.bin", both);
    await expect(load("cifar10")).rejects.toThrow(/may be CIFAR-10 as well as CIFAR-100/);
  });

  test("that end within a record are rejected", async () => {
    for (const i of [1, 2, 3, 4, 5]) await put(`data_batch_${String(i)}.bin`, record([1], 0));
    await put("test_batch.bin", record([1], 0).subarray(1));
    await expect(load("cifar10")).rejects.toThrow(/test_batch.bin is truncated.*multiple of 3073/);
  });
});
