// TensorFlow Lite files that users bring, from the disk to the comparison with LiteRT.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareWithOriginal } from "../../../benchmarks/inputs/compareWithOriginal.js";
import { readOwnNetwork } from "../../../benchmarks/inputs/index.js";
import { onLiteRt } from "../../../benchmarks/inputs/originals.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import { importTflite } from "../../../pipelines/import/index.js";
import { tfliteByHand, type LiteConstant } from "../../pipelines/import/tfliteByHand.js";
import { temporary } from "./ownData/files.js";

const random = randomStream(4, "own TensorFlow Lite network");
const floats = (shape: readonly number[]): LiteConstant => ({
  ...{ shape, type: "float32" },
  values: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform() - 0.5),
});
const SHAPE = [6, 6, 3];

/** A convolution of stride 2, two dense layers that both give outputs, for a batch of two. */
const bytes = tfliteByHand({
  input: [2, ...SHAPE],
  operators: [
    {
      ...{ code: 3, inputs: ["x", "w", "b"], outputs: { c: [2, 3, 3, 4] } },
      options: {
        table: 1,
        fields: [
          [1, "int", 2],
          [2, "int", 2],
          [3, "byte", 1],
        ],
      },
    },
    { code: 9, inputs: ["c", "v", "d"], outputs: { y: [2, 5] }, options: { table: 8, fields: [] } },
    { code: 66, inputs: ["y"], outputs: { other: [2, 5] } },
  ],
  constants: { w: floats([4, 3, 3, 3]), b: floats([4]), v: floats([5, 36]), d: floats([5]) },
  outputs: ["other", "y"],
  outputNames: ["waves", "scores"],
});

test("it is read, compared on LiteRT and named", async () => {
  const path = join(await temporary(), "my net.tflite");
  await writeFile(path, bytes);
  const own = await readOwnNetwork(path, SHAPE, "scores");
  expect(own).toMatchObject({ name: "my-net", classes: 5 });
  await expect(readOwnNetwork(path, SHAPE)).rejects.toThrow(
    /my net\.tflite: .*has 2: waves, scores/,
  );
  await writeFile(path, bytes.subarray(0, bytes.length / 2));
  await expect(readOwnNetwork(path, SHAPE, "scores")).rejects.toThrow(
    /my net\.tflite: .*truncated or damaged/,
  );
});

test("a batch that is open, as Keras leaves it, is one image on LiteRT", async () => {
  const path = join(await temporary(), "open.tflite");
  const open = tfliteByHand({
    ...{ input: [1, ...SHAPE], signature: [-1, ...SHAPE], outputNames: ["scores"] },
    operators: [
      {
        code: 9,
        inputs: ["x", "v", "d"],
        outputs: { y: [1, 5] },
        options: { table: 8, fields: [] },
      },
    ],
    constants: { v: floats([5, 108]), d: floats([5]) },
  });
  await writeFile(path, open);
  expect(await readOwnNetwork(path, SHAPE)).toMatchObject({ name: "open", classes: 5 });
});

test("a network that gives other scores than LiteRT is refused", async () => {
  const imported = importTflite(bytes, { imageShape: SHAPE, output: "y" });
  const original = onLiteRt(bytes, imported);
  await compareWithOriginal(original, imported, SHAPE);
  const [key = ""] = Object.keys(imported.parameters).filter((name) => name.endsWith("/bias"));
  imported.parameters[key]?.data.fill(0.25);
  await expect(compareWithOriginal(original, imported, SHAPE)).rejects.toThrow(
    /gives score [-\d.e]+ where the original gives/,
  );
});
