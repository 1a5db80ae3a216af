import * as ort from "../../../pipelines/onnxruntime.js";
import { afterEach, describe, expect, test, vi } from "vitest";
import { backends } from "../../../backends/index.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { preciseKernels, probeSaturation } from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { exportQLinear } from "../../../pipelines/export/index.js";
import { isCodebook, reducedRange, type FrozenNetwork } from "../../../pipelines/freeze/index.js";
import { OnnxGraph } from "../../../pipelines/onnx/index.js";
import { sessionOptions, type Kernels } from "../../../pipelines/session.js";
import { frozenNetwork } from "../frozenNetwork.js";

const { saturates, preciseIsRight, forced } = await probeSaturation();

const IMAGES = 40;
const images = new ort.Tensor(
  "float32",
  Float32Array.from({ length: IMAGES * 64 }, (_, i) => Math.sin(i * 1.7) * 2),
  [IMAGES, 1, 8, 8],
);
async function logitsOf(bytes: Uint8Array, kernels: Kernels): Promise<number[]> {
  const session = await ort.InferenceSession.create(bytes, sessionOptions(kernels));
  const { logits } = await session.run({ image: images });
  await session.release();
  return Array.from(logits?.data as Float32Array);
}
const precise = (frozen: FrozenNetwork, write = exportOnnx) =>
  logitsOf(write(frozen, "n"), preciseKernels(frozen));
const shipped = (frozen: FrozenNetwork) => logitsOf(exportOnnx(frozen, "n"), "shipped");

/** 127 · 255, 128 times over, in the operator itself: 4,145,280, or 2,097,088 where pairs stop at 32767. */
async function largestProducts(): Promise<number> {
  const graph = new OnnxGraph();
  const [zero, one] = [graph.constant("uint8", [], [0]), graph.scalar(1)];
  const x = graph.input("x", "uint8", [1, 128, 4, 4]);
  const codes = new Int8Array(16 * 128).fill(127);
  const weights = graph.constant("int8", [16, 128, 1, 1], codes);
  const weightZero = graph.constant("int8", [], [0]);
  const inputs = [x, one, zero, weights, one, weightZero, graph.scalar(20_000), zero];
  const y = graph.add("QLinearConv", inputs, { kernel_shape: [1, 1] });
  graph.output("y", y, "uint8", [1, 16, 4, 4]);
  const session = await ort.InferenceSession.create(graph.toBytes("n"));
  const largest = new Uint8Array(128 * 16).fill(255);
  const results = await session.run({ x: new ort.Tensor("uint8", largest, [1, 128, 4, 4]) });
  await session.release();
  return (results["y"]?.data as Uint8Array)[0] ?? NaN;
}

describe("the probe", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });
  /** In a module of its own, since the answer is kept. */
  async function probedWith(said: string) {
    vi.resetModules();
    vi.stubEnv("QUANTBENCH_SATURATION", said);
    const module = await import("../../../pipelines/deploy/saturation.js");
    return module.probeSaturation();
  }

  test("finds what this processor's kernels do", async () => {
    const found = await probedWith("");
    expect(found.forced).toBe(false);
    expect([207, 105]).toContain(await largestProducts());
    expect(found.saturates).toBe((await largestProducts()) === 105);
    expect(found.preciseIsRight).toBe(true);
  });

  test("says what it is told to, and that it was told", async () => {
    expect(await probedWith("yes")).toMatchObject({ saturates: true, forced: true });
    expect(await probedWith("no")).toMatchObject({ saturates: false, forced: true });
    await expect(probedWith("perhaps")).rejects.toThrow(
      new RangeError('QUANTBENCH_SATURATION is "perhaps"; it may be yes or no'),
    );
  });
});

describe.runIf(!forced)("kernels as shipped", () => {
  test.each([
    { model: resnet8, bits: 8 },
    { model: resnet8, bits: 4 },
    { model: mobileNetV2, bits: 8 },
  ])("give the precise sums of $model.name, $bits bits, unless they saturate", async (choice) => {
    const frozen = frozenNetwork({ profile: onnxruntime, seed: 5, ...choice });
    const [found, right] = [await shipped(frozen), await precise(frozen)];
    if (saturates) expect(found).not.toEqual(right);
    else expect(found).toEqual(right);
  });

  test("do so with weights of seven bits on every processor", async () => {
    const frozen = frozenNetwork({ profile: onnxruntime, seed: 5, model: resnet8, bits: 8 });
    const reduced = reducedRange(frozen);
    expect(await shipped(reduced)).toEqual(await precise(reduced));
  });
});

describe("precise kernels", () => {
  // NNIE's levels have no equal steps, and no integers that anything multiplies.
  test.each(backends.filter(({ name }) => name !== "nnie"))(
    "load and compute every network of $name",
    async (profile) => {
      expect(preciseIsRight).toBe(true);
      for (const model of [resnet8, mobileNetV2]) {
        const frozen = frozenNetwork({ profile, bits: 8, seed: 3, model });
        const expected = await precise(frozen);
        if (!saturates && !forced) expect(expected).toEqual(await shipped(frozen));
      }
    },
  );

  test("load QLinear operators, whose layers have zero points of their own", async () => {
    const frozen = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 3, model: resnet8 });
    expect(await precise(frozen, exportQLinear)).toEqual(await precise(frozen));
  });
});

describe("weights of seven bits", () => {
  const frozen = frozenNetwork({ profile: onnxruntime, bits: 4, seed: 7, model: resnet8 });
  const reduced = reducedRange(frozen);
  const isEdge = (id: string) => /^(stem|classifier)/.test(id);

  test("are every second of eight, ties to even, and leave others as they are", () => {
    for (const { id, role } of frozen.sites) {
      if (role !== "weight") continue;
      const [before, after] = [frozen.weights.get(id), reduced.weights.get(id)];
      if (before === undefined || after === undefined) throw new Error(`no weights "${id}"`);
      if (!isEdge(id)) {
        expect(after, id).toBe(before);
        continue;
      }
      if (isCodebook(after.on) || isCodebook(before.on)) throw new Error("no grid");
      const scales = before.on.scale;
      expect(after.on.scale).toEqual(scales.map((scale) => 2 * scale));
      expect(Math.max(...after.codes.map(Math.abs))).toBeLessThanOrEqual(64);
      before.codes.forEach((code, i) => {
        const found = after.codes[i] ?? NaN;
        expect(Math.abs(2 * found - code)).toBe(Math.abs(code % 2));
        if (code % 2 !== 0) expect(Math.abs(found % 2)).toBe(0);
      });
    }
  });
});
