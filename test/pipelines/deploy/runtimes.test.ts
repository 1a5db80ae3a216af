import { describe, expect, test } from "vitest";
import { backends } from "../../../backends/index.js";
import { litert as litertProfile } from "../../../backends/litert.js";
import { onnxruntime as onnxruntimeProfile } from "../../../backends/onnxruntime.js";
import { snpe } from "../../../backends/snpe.js";
import { stpu } from "../../../backends/stpu.js";
import { tensorrt } from "../../../backends/tensorrt.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { findRuntime, runtimes } from "../../../pipelines/deploy/runtimes/index.js";
import { runOn, timeOn } from "../../../pipelines/deploy/runtimes/runOn.js";
import { isCodebook } from "../../../pipelines/freeze/index.js";
import { exportTflite, readTflite } from "../../../pipelines/export/index.js";
import { frozenNetwork, type Choice } from "../frozenNetwork.js";

const COUNT = 70; // more than a batch, and not a whole number of them
const part = {
  count: COUNT,
  images: Uint8Array.from({ length: COUNT * 64 }, (_, i) => (i * 97 + 13) % 256),
  labels: new Uint8Array(COUNT),
};
const dataset = {
  ...{ name: "noise", shape: [8, 8, 1], classes: 4, mean: [0.5], deviation: [0.25] },
  ...{ mayFlip: false, train: part, test: part, checksum: "" },
};

/** Logits of every image on a runtime, in its own process. */
async function logitsOn(name: string, choice: Choice): Promise<number[]> {
  const runtime = findRuntime(name);
  const { arithmetic } = choice.profile;
  const model = runtime.write(frozenNetwork(choice), { name: "n", batch: 50, arithmetic });
  return Array.from((await runOn(runtime, model, { dataset })).logits);
}
const largest = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? NaN))));
const reach = (values: readonly number[]): number => Math.max(...values.map(Math.abs));

describe("the same network on", () => {
  const choice: Choice = { profile: onnxruntimeProfile, bits: 8, seed: 5, model: resnet8 };

  test("onnxruntime, the integer reference and onnxruntime-web: equal to the bit", async () => {
    const expected = await logitsOn("onnxruntimePrecise", choice);
    expect(expected).toHaveLength(COUNT * 4);
    expect(await logitsOn("integers", choice)).toEqual(expected);
    const web = await logitsOn("onnxruntimeWeb", choice);
    expect(largest(web, expected)).toBeLessThan(1e-4 * reach(expected));
  });

  test.each<[string, Choice]>([
    ["signed symmetric, 8 bits", { profile: stpu, bits: 8, seed: 2, model: resnet8 }],
    ["signed symmetric, 3 bits", { profile: stpu, bits: 3, seed: 3, model: resnet8 }],
    ["affine, 4 bits", { profile: litertProfile, bits: 4, seed: 4, model: resnet8 }],
    ["depthwise with ReLU6", { profile: litertProfile, bits: 8, seed: 6, model: mobileNetV2 }],
  ])("LiteRT and the integer reference: %s", async (_, given) => {
    const expected = await logitsOn("integers", given);
    const found = await logitsOn("litert", given);
    const equal = found.filter((logit, i) => logit === expected[i]).length;
    // LiteRT adds and takes means with multipliers of fewer bits: a step apart where it is close.
    expect(equal / found.length).toBeGreaterThan(0.9);
  });

  test("LiteRT with a last layer in float", async () => {
    const expected = await logitsOn("integers", choice);
    const found = await logitsOn("litert", choice);
    const near = found.filter(
      (logit, i) => Math.abs(logit - (expected[i] ?? NaN)) < 1e-4 * reach(expected),
    );
    expect(near.length / found.length).toBeGreaterThan(0.9);
  });
});

test("4-bit weights of TensorFlow Lite give the logits of 8-bit storage, in fewer bytes", async () => {
  const frozen = frozenNetwork({ profile: litertProfile, bits: 4, seed: 8, model: resnet8 });
  const litert = findRuntime("litert");
  const [plain, packed] = [false, true].map((packWeights) =>
    exportTflite(frozen, "n", { batch: 50, packWeights }),
  );
  if (plain === undefined || packed === undefined) throw new Error("nothing was written");
  expect(packed.bytes.length).toBeLessThan(plain.bytes.length);
  const run = async (bytes: Uint8Array) =>
    Array.from((await runOn(litert, { bytes, batch: 50 }, { dataset })).logits);
  expect(await run(packed.bytes)).toEqual(await run(plain.bytes));
});

describe("TensorFlow Lite has no form for", () => {
  test.each<[string, Choice, RegExp]>([
    [
      "affine weights",
      { profile: snpe, bits: 8, seed: 1, model: resnet8 },
      /weights are symmetric/,
    ],
    [
      "sums that are added in float",
      { profile: tensorrt, bits: 8, seed: 1, model: resnet8 },
      /cannot hold ".*": its result is not quantized before it is read/,
    ],
  ])("%s", (_, choice, message) => {
    expect(() => exportTflite(frozenNetwork(choice), "n")).toThrow(message);
  });
  test("and its file says what it is", () => {
    const frozen = frozenNetwork({ profile: stpu, bits: 8, seed: 1, model: resnet8 });
    const { tensors } = readTflite(exportTflite(frozen, "n").bytes);
    expect(tensors.map(({ name }) => name)).toContain("stem/kernel");
    expect(() => readTflite(new Uint8Array(40))).toThrow(/no TensorFlow Lite file/);
    const { bytes } = exportTflite(frozen, "n");
    for (let length = 8; length < bytes.length / 2; length += 997)
      expect(() => readTflite(bytes.subarray(0, length))).toThrow(/truncated or damaged/);
  });
});

describe("a runtime's process", () => {
  const runtime = findRuntime("onnxruntime");

  test("tells what it needed", async () => {
    const frozen = frozenNetwork({ profile: stpu, bits: 8, seed: 1, model: resnet8 });
    const model = runtime.write(frozen, { name: "n", batch: 1 });
    const { imagesPerSecond, peakBytes } = await runOn(runtime, model, { dataset });
    expect(imagesPerSecond).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(model.bytes.length);
    const times = await timeOn(runtime, model, { dataset, milliseconds: 20 });
    expect(times.length).toBeGreaterThan(0);
  });

  test("does not count the memory of the process that started it", async () => {
    const ballast = new Uint8Array(700e6).fill(1);
    const frozen = frozenNetwork({ profile: stpu, bits: 8, seed: 1, model: resnet8 });
    const { peakBytes } = await runOn(runtime, runtime.write(frozen, { name: "n", batch: 1 }), {
      dataset,
    });
    expect(peakBytes).toBeLessThan(ballast.length / 2);
  });

  test.each(runtimes.map(({ name }) => name))(
    "runs another model, then the first one again, to the same bits: %s",
    async (name) => {
      const one: Choice = { profile: stpu, bits: 8, seed: 1, model: resnet8 };
      const other: Choice = { profile: stpu, bits: 3, seed: 2, model: resnet8 };
      const first = await logitsOn(name, one);
      expect(await logitsOn(name, other)).not.toEqual(first);
      expect(await logitsOn(name, one)).toEqual(first);
      // Another data set is another process.
      const reversed = { ...part, images: part.images.toReversed() };
      const frozen = frozenNetwork(one);
      const model = findRuntime(name).write(frozen, {
        ...{ name: "n", batch: 50, arithmetic: stpu.arithmetic },
      });
      const run = (test: typeof part) =>
        runOn(findRuntime(name), model, { dataset: { ...dataset, test } });
      expect(Array.from((await run(reversed)).logits)).not.toEqual(first);
      expect(Array.from((await run(part)).logits)).toEqual(first);
    },
  );

  test("that cannot load a model is an error that names it, and the next model runs", async () => {
    const frozen = frozenNetwork({ profile: stpu, bits: 8, seed: 1, model: resnet8 });
    const model = runtime.write(frozen, { name: "n", batch: 50 });
    const expected = (await runOn(runtime, model, { dataset })).logits;
    const broken = { bytes: new Uint8Array(model.bytes.length).fill(7) };
    await expect(runOn(runtime, broken, { dataset })).rejects.toThrow(/^onnxruntime failed: /);
    await expect(
      runOn(findRuntime("litert"), { ...broken, batch: 50 }, { dataset }),
    ).rejects.toThrow(/^LiteRT \(WebAssembly\) (failed|ended)/);
    expect((await runOn(runtime, model, { dataset })).logits).toEqual(expected);
  });
});

test("a network that LiteRT cannot prepare has no logits, although its calls resolve", async () => {
  const frozen = frozenNetwork({ profile: litertProfile, bits: 8, seed: 2, model: resnet8 });
  const model = exportTflite(frozen, "n", { batch: 50 });
  // Steps of the last result so fine that XNNPACK, which takes ratios below 256, refuses the layer.
  const grid = frozen.activations.get("classifier/output");
  if (grid === undefined || isCodebook(grid)) throw new Error("no grid");
  const steps = (scale: number) => Buffer.from(Float32Array.of(scale).buffer);
  const bytes = Buffer.from(model.bytes);
  const [scale = 1] = grid.scale;
  for (let at = bytes.indexOf(steps(scale)); at >= 0; at = bytes.indexOf(steps(scale)))
    steps(scale / 3000).copy(bytes, at);
  await expect(runOn(findRuntime("litert"), { ...model, bytes }, { dataset })).rejects.toThrow(
    /^LiteRT \(WebAssembly\) failed: failed to create XNNPACK runtime/,
  );
});

test("logits of LiteRT come with a proof that it computed them", async () => {
  const frozen = frozenNetwork({ profile: litertProfile, bits: 8, seed: 2, model: resnet8 });
  const model = findRuntime("litert").write(frozen, { name: "n", batch: 50 });
  const { logits } = await runOn(findRuntime("litert"), model, { dataset });
  const plain = exportTflite(frozen, "n", { batch: 50 });
  expect(model.operators).toEqual(plain.operators);
  expect(logits).toEqual((await runOn(findRuntime("litert"), plain, { dataset })).logits);
  // The constant 1 becomes 2: the second output is no longer that of the first.
  const bytes = Buffer.from(model.bytes);
  const [one, two] = [1, 2].map((value) => Buffer.from(Float32Array.of(value).buffer));
  if (one === undefined || two === undefined) throw new Error("no constants");
  for (let at = bytes.indexOf(one); at >= 0; at = bytes.indexOf(one)) two.copy(bytes, at);
  await expect(runOn(findRuntime("litert"), { ...model, bytes }, { dataset })).rejects.toThrow(
    /^LiteRT \(WebAssembly\) failed: logit 0 was not computed: it is .*, and with 1 added /,
  );
});

test("nor is it written, but for a reason: a layer that was 0 on all calibration images", () => {
  const frozen = frozenNetwork({ profile: litertProfile, bits: 8, seed: 2, model: resnet8 });
  const activations = new Map(frozen.activations);
  const dead = { scale: Float32Array.of(2 ** -23), zeroPoint: Float32Array.of(-128) };
  activations.set("stem.relu/output", dead);
  expect(() => exportTflite({ ...frozen, activations }, "n")).toThrow(
    /^TensorFlow Lite cannot hold "stem": its sums' steps are [\d.e+]+ times its result's, and XNNPACK takes less than 256$/,
  );
});

test("backends name runtimes that there are", () => {
  const names = runtimes.map(({ name }) => name);
  for (const { runtimes: listed = [] } of backends)
    for (const name of listed) expect(names).toContain(name);
  expect(() => findRuntime("tensorflow")).toThrow(/no runtime "tensorflow"; there are onnxruntime/);
});
