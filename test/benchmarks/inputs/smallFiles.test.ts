// Small files that would cost much: each is refused at once, with its name and what is accepted.
import { execFileSync } from "node:child_process";
import { mkdir, open, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { readImage } from "../../../benchmarks/datasets/index.js";
import { readOwnNetwork } from "../../../benchmarks/inputs/index.js";
import { loadOwnData } from "../../../benchmarks/inputs/ownData/index.js";
import { readPreprocessing } from "../../../benchmarks/inputs/ownData/preprocessing.js";
import { parseMatrix } from "../../../benchmarks/planning/index.js";
import { importOnnx } from "../../../pipelines/import/index.js";
import {
  external,
  floats,
  type HandNode,
  modelByHand,
} from "../../pipelines/import/modelByHand.js";
import { float32Bytes, int64Bytes, npy, png, temporary } from "./ownData/files.js";

describe("pictures", () => {
  test.each([
    [2 ** 31 - 1, 2 ** 31 - 1],
    [0, 5],
    [20_000, 20_000],
  ])("whose header says %i x %i", async (width, height) => {
    const path = join(await temporary(), "x.png");
    const bytes = Buffer.from(png(1, 1, [0, 0, 0])).subarray(0, 68);
    bytes.writeUInt32BE(width, 16);
    bytes.writeUInt32BE(height, 20);
    await writeFile(path, bytes);
    expect(() => readImage(path)).toThrow(
      new RegExp(`x\\.png is not a readable .* ${String(width)} x ${String(height)} pixels; 1 to`),
    );
  });

  test.skipIf(process.platform === "win32")("that are none: devices, pipes, folders", async () => {
    const folder = await temporary();
    await symlink("/dev/zero", join(folder, "zero.jpg"));
    execFileSync("mkfifo", [join(folder, "pipe.jpg")]);
    await mkdir(join(folder, "folder.jpg"));
    expect(() => readImage(join(folder, "zero.jpg"))).toThrow(/zero\.jpg is a device or pipe/);
    expect(() => readImage(join(folder, "pipe.jpg"))).toThrow(/pipe\.jpg is a device or pipe/);
    expect(() => readImage(join(folder, "folder.jpg"))).toThrow(/folder\.jpg is a folder/);
  });
});

describe("arrays", () => {
  const labels = npy("<i8", [5], int64Bytes([0, 1, 0, 1, 0]));
  const values = Array.from({ length: 20 }, () => 0);
  const zeros = float32Bytes(values);
  test.each<[string, Record<string, Uint8Array>, RegExp]>([
    [
      "with a value that is no number",
      { images: npy("<f4", [5, 2, 2], float32Bytes(values.with(9, NaN))), labels },
      /the images have the value NaN in image 2/,
    ],
    ["without pixels", { images: npy("<f4", [5, 0, 2], new Uint8Array(0)), labels }, /no pixels/],
    [
      "with a label that would make 65,536 classes",
      {
        images: npy("<f4", [5, 2, 2], zeros),
        labels: npy("<i8", [5], int64Bytes([0, 1, 65535, 1, 0])),
      },
      /65535 is no label; labels are classes from 0 to 32767/,
    ],
  ])("%s", async (_, arrays, message) => {
    const path = join(await temporary(), "set.npz");
    const named = Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes] as const);
    await writeFile(path, zipSync(Object.fromEntries(named)));
    await expect(loadOwnData({ path })).rejects.toThrow(message);
  });

  test("packed, that say they hold more than the memory", async () => {
    const path = join(await temporary(), "set.npz");
    const packed = Buffer.from(zipSync({ "images.npy": new Uint8Array(1000) }));
    // The size that the directory at the end of the file gives.
    const directory = packed.indexOf(Buffer.from("PK\x01\x02", "latin1"));
    packed.writeUInt32LE(0xffffffff, directory + 24);
    await writeFile(path, packed);
    await expect(loadOwnData({ path })).rejects.toThrow(/set\.npz is no \.npz file, or damaged/);
  });
});

describe("settings", () => {
  test.each([
    ["crop: 1000000000", /prepare\.yaml: crop: .*4096/],
    [
      "a: &a [x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*b, *b, *b, *b]",
      /prepare\.yaml: /,
    ],
  ])("%s", async (text, message) => {
    const path = join(await temporary(), "prepare.yaml");
    await writeFile(path, text);
    await expect(readPreprocessing(path)).rejects.toThrow(message);
  });

  const matrix = (change: { seeds?: number; width?: number; algorithms?: string }) => `
title: x
dataset: fashionMnist
models: [{ name: resnet8, width: ${String(change.width ?? 4)} }]
seeds: ${String(change.seeds ?? 1)}
cells:
  - { algorithms: ${change.algorithms ?? "[lsq]"}, backends: all, bits: [{ weights: 4, activations: 4 }] }
hyperparameters:
  batchSize: 8
  momentum: 0.9
  weightDecay: 0
  augmentation: { shift: 0, flip: false }
  pretrain: { epochs: 1, learningRate: 0.1 }
  calibrationBatches: 1
  quantizedTraining: { epochs: 1, learningRate: 0.1 }
`;
  test("of the usual size", () => {
    expect(parseMatrix(matrix({ seeds: 1000 }), "m.yaml").seeds).toBe(1000);
  });
  test.each([
    [{ seeds: 100_000 }, /m\.yaml:5:8: seeds: .*<=1000/],
    [{ width: 1e9 }, /m\.yaml:.*width: .*<=4096/],
    [
      { algorithms: `[${"lsq, ".repeat(100_000)}]` },
      /these are \d+ cells; at most 200000 are accepted/,
    ],
  ])("of another one: %#", (change, message) => {
    expect(() => parseMatrix(matrix(change), "m.yaml")).toThrow(message);
  });

  test("that unfold are refused with the file's name", () => {
    const levels = Array.from({ length: 9 }, (_, i) => {
      const inner = Array.from({ length: 9 }, () => `*a${String(i)}`).join();
      return `a${String(i + 1)}: &a${String(i + 1)} [${inner}]`;
    });
    const text = `a0: &a0 [x]\n${levels.join("\n")}`;
    expect(() => parseMatrix(text, "bomb.yaml")).toThrow(/^bomb\.yaml: .*alias/i);
  });
});

describe("ONNX graphs", () => {
  const conv: HandNode = { op: "Conv", inputs: ["x", "k"], outputs: ["y"] };
  const noFiles = () => {
    throw new Error("no files");
  };
  const imported = (
    nodes: readonly HandNode[],
    constants = [floats("k", [1, 1, 1, 1], [1])],
    output = "y",
  ) =>
    importOnnx(modelByHand({ opset: 13, input: [1, 1, 2, 2], nodes, constants, output }), {
      imageShape: [2, 2, 1],
      readExternal: noFiles,
    });

  test("that double a constant with every node", () => {
    const doubling = Array.from({ length: 33 }, (_, i) => ({
      op: "Concat",
      inputs: [`c${String(i)}`, `c${String(i)}`],
      outputs: [`c${String(i + 1)}`],
      attributes: { axis: 0 },
    }));
    const last = { op: "Reshape", inputs: ["y", "c33"], outputs: ["z"] };
    expect(() =>
      imported(
        [...doubling, conv, last],
        [floats("k", [1, 1, 1, 1], [1]), floats("c0", [2], [1, 4])],
        "z",
      ),
    ).toThrow(/joins \d+ values, which are too many|constants of more than/);
  });

  test("whose constants are one file with holes", async () => {
    const folder = await temporary();
    const path = join(folder, "net.onnx");
    const weights = await open(join(folder, "weights"), "w");
    await weights.truncate(2 ** 29); // takes no room on the disk
    await weights.close();
    const constants = Array.from({ length: 5 }, (_, i) =>
      external(`k${String(i)}`, [2 ** 27], { location: "weights", offset: "0" }),
    );
    await writeFile(
      path,
      modelByHand({ opset: 13, input: [1, 1, 2, 2], nodes: [conv], constants }),
    );
    await expect(readOwnNetwork(path, [2, 2, 1])).rejects.toThrow(
      /net\.onnx: its constants up to "k2" have more than the 268435456 values accepted/,
    );
  });

  test("with thousands of names that come to the same take no longer than others", () => {
    const secondsOf = (nameOf: (i: number) => string): number => {
      const nodes = Array.from({ length: 8000 }, (_, i) => ({
        op: "Relu",
        inputs: [i === 0 ? "x" : nameOf(i - 1)],
        outputs: [nameOf(i)],
      }));
      const start = performance.now();
      imported([...nodes, { op: "Flatten", inputs: [nameOf(7999)], outputs: ["y"] }]);
      return (performance.now() - start) / 1000;
    };
    const others = secondsOf((i) => `node${String(i)}`);
    expect(secondsOf((i) => String.fromCodePoint(0x4e00 + i))).toBeLessThan(2 * others + 0.5);
  });
});
