import { execFile } from "node:child_process";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as ort from "../pipelines/onnxruntime.js";
import { expect, test } from "vitest";
import { loadDataset, readOwnNetwork } from "../benchmarks/inputs/index.js";
import { randomStream } from "../pipelines/engine/index.js";
import { float32Bytes, npy, temporary } from "./benchmarks/inputs/ownData/files.js";
import { external, floats, modelByHand, type HandNode } from "./pipelines/import/modelByHand.js";

const MAIN = resolve("dist/benchmarks/main.js");
const quantbench = (args: readonly string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });

const random = randomStream(3, "own network");
const noise = (count: number) =>
  Array.from({ length: count }, () => (2 * random.uniform() - 1) / Math.sqrt(count / 8));
const node = (op: string, inputs: string[], output: string, attributes = {}): HandNode => ({
  ...{ op, inputs, outputs: [output], attributes },
});

/** A small network for 28 x 28 images and 10 classes. */
const model = (bias = floats("c.b", [8], noise(8))) =>
  modelByHand({
    opset: 14,
    input: ["n", 1, 28, 28],
    nodes: [
      node("Conv", ["x", "c.w", "c.b"], "c", { strides: [2, 2], kernel_shape: [5, 5] }),
      node("HardSwish", ["c"], "s"),
      node("MaxPool", ["s"], "m", { kernel_shape: [4, 4], strides: [4, 4] }),
      node("Flatten", ["m"], "f"),
      node("Gemm", ["f", "d.w"], "y"),
    ],
    constants: [floats("c.w", [8, 1, 5, 5], noise(200)), bias, floats("d.w", [72, 10], noise(720))],
  });

test("a matrix runs on a network and images that a user brings", async () => {
  const directory = await temporary();
  const file = join(directory, "my net.onnx");
  const bytes = model();
  await writeFile(file, bytes.slice());
  const fashion = await loadDataset("fashionMnist", "", { trainImages: 320, testImages: 400 });
  const images = join(directory, "images");
  await mkdir(images);
  const pixels = (set: Uint8Array) => float32Bytes(Array.from(set, (byte) => byte / 255));
  const { train, test: held } = fashion;
  await writeFile(join(images, "x_train.npy"), npy("<f4", [320, 28, 28], pixels(train.images)));
  await writeFile(join(images, "x_test.npy"), npy("<f4", [400, 28, 28], pixels(held.images)));
  await writeFile(join(images, "y_test.npy"), npy("|u1", [400], Uint8Array.from(held.labels)));
  const matrix = join(directory, "matrix.yaml");
  await writeFile(
    matrix,
    `title: Own
dataset: { path: images }
models: [{ file: my net.onnx }]
seeds: 1
cells:
  - { algorithms: [minMax, lsq, hawq, palquant], backends: [onnxruntime], bits: [{ weights: 8, activations: 8 }] }
hyperparameters:
  batchSize: 64
  momentum: 0.9
  weightDecay: 0
  augmentation: { shift: 0, flip: false }
  pretrain: { epochs: 1, learningRate: 0.1 }
  calibrationBatches: 4
  quantizedTraining: { epochs: 1, learningRate: 0.01 }
`,
  );
  const out = join(directory, "out");
  const { code, stdout, stderr } = await quantbench(["run", matrix, "--out", out, "--json"]);
  expect(code, stderr).toBe(0);
  const results = JSON.parse(stdout) as {
    state: string;
    reason?: string;
    accuracy?: { float: number };
    agreement?: { share: number };
    unquantized?: { tensor: string; reason: string }[];
    config: { algorithm: { name: string } };
  }[];
  const of = (name: string) => results.find(({ config }) => config.algorithm.name === name);
  // The float accuracy is what onnxruntime says of the original file.
  const values = Float32Array.from(held.images, (byte) => Math.fround(byte / 255));
  const original = await originalAccuracy(bytes, values, held.labels);
  expect(of("minMax")).toMatchObject({ state: "completed", accuracy: { float: original } });
  expect(of("minMax")?.agreement?.share).toBeGreaterThanOrEqual(0.99);
  expect(of("minMax")?.unquantized).toContainEqual({
    tensor: "c",
    reason: "hardSwish is computed in float",
  });
  for (const name of ["lsq", "hawq"])
    expect(of(name)).toMatchObject({
      state: "unsupported",
      reason: "it learns from labels, which the training images do not have",
    });
  expect(of("palquant")?.state).toBe("unsupported");

  // The run holds the network, so that it can be repeated without the file.
  await rm(file);
  const verified = await quantbench(["verify", out, "--cells", "1", "--data", images]);
  expect(verified.code, verified.stderr).toBe(0);
});

async function originalAccuracy(
  bytes: Uint8Array,
  values: Float32Array,
  labels: ArrayLike<number>,
) {
  const session = await ort.InferenceSession.create(bytes);
  const { y } = await session.run({ x: new ort.Tensor("float32", values, [400, 1, 28, 28]) });
  await session.release();
  const scores = y?.data as Float32Array;
  const right = Array.from(labels).filter((label, image) => {
    const own = Array.from(scores.subarray(image * 10, image * 10 + 10));
    return own.indexOf(Math.max(...own)) === label;
  });
  return right.length / 400;
}

test.each([
  ["../secret.bin", /"\.\.\/secret\.bin", which is not in its folder/],
  ["/etc/hostname", /"\/etc\/hostname", which is not in its folder/],
  ["link.bin", /"link\.bin", which leads elsewhere/],
  ["none.bin", /"none\.bin", which does not exist/],
  ["short.bin", /bytes 0 to 32 of "short\.bin", which has 4/],
])("weights in %s are not read", async (location, message) => {
  const root = await temporary();
  const directory = join(root, "model");
  await mkdir(directory);
  await writeFile(join(root, "secret.bin"), new Uint8Array(32));
  await symlink(join(root, "secret.bin"), join(directory, "link.bin"));
  await writeFile(join(directory, "short.bin"), new Uint8Array(4));
  const bias = external("c.b", [8], { location, offset: "0", length: "32" });
  await writeFile(join(directory, "net.onnx"), model(bias).slice());
  await expect(readOwnNetwork(join(directory, "net.onnx"), [28, 28, 1])).rejects.toThrow(message);
});

test("weights beside the file are read", async () => {
  const directory = await temporary();
  const data = new Uint8Array(Float32Array.from(noise(8)).buffer);
  await writeFile(join(directory, "weights.bin"), data);
  const bias = external("c.b", [8], { location: "weights.bin", offset: "0", length: "32" });
  await writeFile(join(directory, "net.onnx"), model(bias).slice());
  const { parameters } = await readOwnNetwork(join(directory, "net.onnx"), [28, 28, 1]);
  expect(parameters["c/bias"]?.data).toEqual(new Float32Array(data.buffer));
});

test("a folder for the model and no images says what is missing", async () => {
  const directory = await temporary();
  const { code, stderr } = await quantbench(["run", "--model", directory, "--data", directory]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/holds no folder|no JPEG/);
});
