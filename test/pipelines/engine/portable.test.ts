// Kernels and generated loops of the portable engine at the sizes of real networks, against the standard
// lowering on onnxruntime, and what the contract of engines does not say.
import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { lsq } from "../../../algorithms/lsq.js";
import { academic } from "../../../backends/academic.js";
import { preparedTraining, runningTraining } from "../../../benchmarks/measuring/index.js";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { mobileNetV2, resnet20, resnet8 } from "../../../benchmarks/models/index.js";
import {
  float32,
  loadEngine,
  type Engine,
  type HostTensors,
} from "../../../pipelines/engine/index.js";
import { encodeModule, instruction } from "../../../pipelines/engine/portable/encoder.js";
import { Block, placeBlocks } from "../../../pipelines/engine/portable/memory.js";
import type { Training } from "../../../pipelines/train/index.js";

const portable = await loadEngine("portable");
const standard = await loadEngine("onnxruntime", "standard");
const dataset = await loadDataset("fashionMnist", "", { trainImages: 256, testImages: 16 });

async function stepped(engine: Engine, training: Training, steps: number): Promise<HostTensors> {
  const { phase, batches } = runningTraining(engine, training);
  for (let i = 0; i < steps; i++) await phase.step(batches.next().value, 0.01);
  await phase.release();
  return phase.tensors;
}

/** Values below are noise: shifts in front of a batch norm have no gradient. */
const LEAST_SCALE = 1e-3;

const relativeError = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  let [error, scale] = [0, LEAST_SCALE];
  for (let i = 0; i < expected.length; i++) {
    error = Math.max(error, Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN)));
    scale = Math.max(scale, Math.abs(expected[i] ?? NaN));
  }
  return error / scale;
};

test.each([
  ["quantized ResNet-8", resnet8, 8, true],
  ["ResNet-20", resnet20, 16, false],
  // Not quantized: through so many layers one flipped rounding moves most tensors.
  ["MobileNetV2", mobileNetV2, 8, false],
] as const)(
  "a training step of %s changes every tensor as onnxruntime does",
  async (_, model, width, isQuantized) => {
    const start = await preparedTraining(standard, {
      ...{ dataset, model, width, batchSize: 32 },
      ...(isQuantized && { quantized: { algorithm: lsq, backend: academic, bits: 4 } }),
    });
    const expected = await stepped(standard, start, 1);
    const actual = await stepped(portable, start, 1);
    const errors = Object.entries(expected).map(([name, { data }]) =>
      relativeError(actual[name]?.data ?? [], data),
    );
    errors.sort((x, y) => x - y);
    expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(1e-4);
    expect(errors[Math.floor(errors.length * 0.9)]).toBeLessThan(1e-2);
  },
);

test("memory that a larger step left behind changes no bit", async () => {
  const step = ({ x, y }: Record<string, tf.Tensor>) => ({
    z: tf.conv2d(x as tf.Tensor4D, y as tf.Tensor4D, 1, "same"),
    sum: tf.sum(tf.mul(x as tf.Tensor, 3), [0, 1, 2]),
  });
  const inputs = {
    x: float32(
      Float32Array.from({ length: 2 * 5 * 5 * 3 }, (_, i) => (i % 7) / 3),
      [2, 5, 5, 3],
    ),
    y: float32(
      Float32Array.from({ length: 3 * 3 * 3 * 5 }, (_, i) => (i % 5) - 1.7),
      [3, 3, 3, 5],
    ),
  };
  const run = async () => {
    const compiled = await portable.compile(step, inputs);
    const outputs = await compiled.run(inputs);
    await compiled.release();
    return outputs;
  };
  const first = await run();
  const full = float32(new Float32Array(2 ** 18).fill(NaN), [2 ** 18]);
  const large = await portable.compile(({ x }) => ({ y: tf.neg(x as tf.Tensor) }), { x: full });
  await large.run({ x: full });
  await large.release();
  expect(await run()).toEqual(first);
});

describe("what it cannot compute", () => {
  test("is a kernel without an assembler, named with the place of the call", async () => {
    const step = ({ x }: Record<string, tf.Tensor>) => ({ y: tf.asinh(x as tf.Tensor) });
    await expect(portable.compile(step, { x: float32([1], [1]) })).rejects.toThrow(
      /kernel "Asinh", called at .*portable\.test\.ts/s,
    );
  });

  test("is a whole number that no float holds", async () => {
    const indices = { dtype: "int32", shape: [1], data: Int32Array.of(2 ** 24 + 1) } as const;
    const step = await portable.compile(({ i }) => ({ y: tf.cast(i as tf.Tensor, "float32") }), {
      i: indices,
    });
    await expect(async () => step.run({ i: indices })).rejects.toThrow(/"i" has 16777217/);
    await step.release();
  });

  test("is a step that needs more memory than WebAssembly has", async () => {
    const step = ({ x }: Record<string, tf.Tensor>) => ({
      y: tf.sum(tf.transpose(tf.broadcastTo(x as tf.Tensor, [2 ** 15, 2 ** 16])), 1),
    });
    await expect(portable.compile(step, { x: float32([1], [1]) })).rejects.toThrow(
      /GiB, and WebAssembly has at most 4/,
    );
  });

  test("is an index beyond the table", async () => {
    const inputs = {
      table: float32([1, 2, 3], [3]),
      at: { dtype: "int32", shape: [1], data: Int32Array.of(3) } as const,
    };
    const step = await portable.compile(
      ({ table, at }) => ({ y: tf.gather(table as tf.Tensor, at as tf.Tensor1D) }),
      inputs,
    );
    await expect(async () => step.run(inputs)).rejects.toThrow(/unreachable/);
    await step.release();
  });
});

test("powers of two stay powers of two", async () => {
  const exponents = Array.from({ length: 80 }, (_, i) => i - 40);
  const inputs = { x: float32(exponents, [80]) };
  const step = await portable.compile(
    ({ x }) => ({ y: tf.pow(tf.fill([], 2), x as tf.Tensor) }),
    inputs,
  );
  const { y } = await step.run(inputs);
  expect([...(y?.data ?? [])]).toEqual(exponents.map((exponent) => 2 ** exponent));
  await step.release();
});

test("blocks that are needed at the same time do not overlap, and gaps are used again", () => {
  const sizes = Array.from({ length: 200 }, (_, i) => 64 * (1 + ((i * 7919) % 37)));
  const blocks = sizes.map((size, i) => {
    const block = new Block(size, i % 50 === 0);
    block.touch(i);
    block.touch(i + ((i * 31) % 11));
    return block;
  });
  const end = placeBlocks(blocks, 100);
  for (const a of blocks) {
    expect(a.address % 64).toBe(0);
    expect(a.address).toBeGreaterThanOrEqual(100);
    expect(a.address + a.bytes).toBeLessThanOrEqual(end);
    for (const b of blocks) {
      const together = a.kept || b.kept || (a.first <= b.last && b.first <= a.last);
      if (a === b || !together) continue;
      expect(a.address + a.bytes <= b.address || b.address + b.bytes <= a.address).toBe(true);
    }
  }
  expect(end).toBeLessThan(sizes.reduce((a, b) => a + b, 0) / 3);
});

test("a module is encoded as the specification has it, integers of every length included", () => {
  const body = [0, 63, 64, 127, 128, 8191, 8192, 2 ** 30, 2 ** 31 - 1].flatMap((value) => [
    ...instruction.integer(value),
    ...instruction.float(value),
    ...[0x1a, 0x1a], // drop both
  ]);
  const bytes = encodeModule(
    [{ name: "pow", arguments: 2 }],
    [{ name: "a function", locals: [[200, 0x7b]], body }],
  );
  expect(WebAssembly.validate(bytes)).toBe(true);
  expect(WebAssembly.Module.exports(new WebAssembly.Module(bytes))).toEqual([
    { name: "a function", kind: "function" },
  ]);
});
