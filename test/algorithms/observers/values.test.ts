import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import {
  mseObserver,
  percentileObserver,
  sampleIndices,
  type Observer,
} from "../../../algorithms/observers/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { int4, site } from "../../support.js";
import { gridOf, meanSquaredError, quasiNormal } from "./support.js";

beforeAll(() => tf.setBackend("cpu"));

const KEPT = 65536;

describe("a sample has as much of every index of every axis as the tensor:", () => {
  test.each([
    [[64, 14, 14, 16]],
    [[64, 32, 32, 16]],
    [[64, 28, 28, 8]],
    [[83, 28, 28, 16]],
    [[64, 32, 32, 3]],
    [[128, 56, 56, 64]],
    [[100, 30, 30, 10]],
    [[32, 16, 16, 512]],
    [[3, 3, 256, 256]],
  ])("[%s]", (shape) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const indices = sampleIndices(count, KEPT);
    expect(indices).toHaveLength(KEPT);
    expect(indices.every((index, i) => index < count && index >= (indices[i - 1] ?? 0))).toBe(true);
    shape.forEach((size, axis) => {
      const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
      const seen = new Float64Array(size);
      indices.forEach((index) => {
        const place = Math.floor(index / inner) % size;
        seen[place] = (seen[place] ?? 0) + 1;
      });
      // A fair draw would have a standard deviation of the root of the expected count.
      const expected = KEPT / size;
      const slack = Math.max(2 * Math.sqrt(expected), 1);
      for (const found of seen) expect(Math.abs(found - expected)).toBeLessThanOrEqual(slack);
    });
  });
});

describe("of relu(normal) with channels of different size, the first one dead, in [64, 32, 32, 16],", () => {
  const shape = [64, 32, 32, 16];
  const normal = quasiNormal(shape.reduce((a, b) => a * b, 1));
  const values = Float32Array.from(normal, (v, i) => (Math.max(v, 0) * (i % 16)) / 15);
  const place = site({
    role: "activation",
    shape: shape.slice(1),
    channelAxis: 3,
    nonNegative: true,
    scheme: { ...int4, signed: false },
  });
  const chosen = (observer: Observer) => gridOf(observer, [tf.tensor(values, shape)], place);

  test("mse has the least error over all values, which a scan of scales finds", () => {
    const largest = values.reduce((a, b) => Math.max(a, b), 0);
    // Half a million values are enough to compare with, and whole positions.
    const half = values.subarray(0, values.length / 2);
    const errorOf = (scale: number) => meanSquaredError(half, { scale, zeroPoint: 0 }, place);
    const scan = Array.from({ length: 60 }, (_, i) => (largest / 15) * (1 - i / 64));
    const least = Math.min(...scan.map(errorOf));
    const { scale } = chosen(mseObserver);
    expect(errorOf(scale)).toBeLessThan(1.01 * least);
  });

  test("percentile is the quantile of all values", () => {
    const sorted = values.slice().sort();
    const exact = sorted[Math.round(0.9999 * (sorted.length - 1))] ?? NaN;
    const { scale } = chosen(percentileObserver);
    // Of 65,536 values 6.5 lie above: the quantile is known to a tenth.
    expect(Math.abs((scale * 15) / exact - 1)).toBeLessThan(0.1);
  });

  test("engines keep the same values", async () => {
    const observed = await Promise.all(
      (["tfjs", "onnxruntime"] as const).map(async (name) => {
        const engine = await loadEngine(name);
        const inputs = { x: { dtype: "float32" as const, shape, data: values } };
        const step = await engine.compile(
          ({ x }) => mseObserver.observe(x as tf.Tensor, place),
          inputs,
        );
        const outputs = await step.run(inputs);
        await step.release();
        return outputs;
      }),
    );
    const [eager, native] = observed;
    expect(eager?.["values"]?.shape).toEqual([1, KEPT]);
    expect(native?.["values"]?.data).toEqual(eager?.["values"]?.data);
  });
});

test("each channel of a large kernel keeps values of its own", () => {
  // 2 channels of 131,072 values: 0 ... 1 and 0 ... 3.
  const count = 131072;
  const place = site({
    shape: [count, 2],
    channelAxis: 1,
    scheme: { ...int4, granularity: "perChannel" },
  });
  const x = tf.tensor(
    Float32Array.from({ length: 2 * count }, (_, i) => ((i >> 1) / count) * (i % 2 === 0 ? 1 : 3)),
    place.shape as number[],
  );
  [1, 3].forEach((reach, channel) => {
    const { scale } = gridOf(percentileObserver, [x], place, channel);
    expect(scale * 7.5).toBeCloseTo(0.9999 * reach, 3);
  });
});
