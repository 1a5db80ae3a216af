import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { squaredError } from "../../../algorithms/hawq.js";
import { adaRound } from "../../../algorithms/adaRound.js";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { brecq } from "../../../algorithms/brecq.js";
import { qdrop } from "../../../algorithms/qdrop.js";
import { academic } from "../../../backends/academic.js";
import { snpe } from "../../../backends/snpe.js";
import { decodeState, encodeState } from "../../../benchmarks/cell/index.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { float32, loadEngine } from "../../../pipelines/engine/index.js";
import {
  blockUnits,
  foldBatchNorm,
  initialParameters,
  layerUnits,
  placeQuantizers,
  quantizeWith,
  RowStorage,
  rowsOf,
  runPart,
  unitBetween,
  unquantized,
} from "../../../pipelines/network/index.js";
import { calibrate } from "../../../pipelines/quantize/calibrate.js";
import { quantize } from "../../../pipelines/quantize/quantize.js";
import { fisherWeights } from "../../../pipelines/quantize/reconstruct/fisherWeights.js";
import type { TrainingKeeper, TrainingState } from "../../../pipelines/train/index.js";
import { int4, normalValues, site, toyDataset } from "../../support.js";

const dataset = toyDataset();
const engine = await loadEngine("onnxruntime");
const width = 4;
const floatNetwork = resnet8.build({ inputShape: dataset.shape, classes: dataset.classes, width });
const checkpoint = initialParameters(floatNetwork, 0);
const schedule = { epochs: 1, learningRate: 0.01 };
const hyperparameters = {
  ...{ batchSize: 8, momentum: 0.9, weightDecay: 1e-4, calibrationBatches: 2 },
  ...{ augmentation: { shift: 0, flip: false }, pretrain: schedule, quantizedTraining: schedule },
};

function reconstructed(
  algorithm: Algorithm,
  reconstruction: { batchSize: number; steps: number; learningRate: number },
  seed = 0,
  { keeper, storage }: { readonly keeper?: TrainingKeeper; readonly storage?: RowStorage } = {},
) {
  const quantized = placeQuantizers(foldBatchNorm(floatNetwork, 4), snpe, {
    weights: 4,
    activations: 8,
  });
  return quantize(engine, {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, batchNorm: 4 },
    ...{ quantized, dataset, seed, keeper, ...(storage && { storage }) },
    hyperparameters: { ...hyperparameters, reconstruction: { images: 16, ...reconstruction } },
  });
}

test("every unit learns for all steps, and what the last one gives is kept", async () => {
  const { reconstruction, ...rest } = adaRound;
  const options = { batchSize: 8, steps: 12, learningRate: 1e4 };
  const [wild, untouched] = [
    await reconstructed({ ...rest, reconstruction }, options),
    await reconstructed(rest, options),
  ];
  const units = layerUnits(foldBatchNorm(floatNetwork, 4));
  expect(wild.losses).toHaveLength(units.length * options.steps);
  // Steps so large make things worse, and are kept all the same.
  expect(wild.tensors["stem/kernel:rounding"]?.data).not.toEqual(
    untouched.tensors["stem/kernel:rounding"]?.data,
  );
});

class Stop extends Error {}

test.each<Algorithm>([adaRound, brecq, qdrop])(
  "what was stopped in the middle of a unit, or at its end, goes on to the same bits: $name",
  async (algorithm) => {
    const options = { batchSize: 8, steps: 5, learningRate: 0.03 };
    const whole = await reconstructed(algorithm, options);
    const steps = whole.losses.length;
    let found: TrainingState | undefined;
    // Stopped again and again, each time some steps further.
    for (const stop of [2, 5, 13, steps - 1]) {
      let file = new Uint8Array(0);
      const keep = (state: () => TrainingState) => {
        const now = state();
        if (now.losses.length < stop) return Promise.resolve();
        file = encodeState(now, "key").slice();
        return Promise.reject(new Stop());
      };
      await expect(
        reconstructed(algorithm, options, 0, { keeper: { found, keep } }),
      ).rejects.toThrow(Stop);
      found = decodeState(file, "key");
      expect(found.losses).toHaveLength(stop);
    }
    const resumed = await reconstructed(algorithm, options, 0, {
      keeper: { found, keep: () => Promise.resolve() },
    });
    expect(resumed.losses).toEqual(whole.losses);
    expect(resumed.tensors).toEqual(whole.tensors);
  },
);

test.each<Algorithm>([adaRound, brecq, qdrop])(
  "activations may lie in files: $name",
  async (algorithm) => {
    const options = { batchSize: 8, steps: 3, learningRate: 0.03 };
    const storage = new RowStorage({ memoryBytes: 2e4 }); // some of them
    const [inMemory, inFiles] = [
      await reconstructed(algorithm, options),
      await reconstructed(algorithm, options, 0, { storage }),
    ];
    expect(storage.files).toBeGreaterThan(0);
    expect(inFiles.losses).toEqual(inMemory.losses);
    expect(inFiles.tensors).toEqual(inMemory.tensors);
  },
);

test("what is released makes room, and files have no name and nothing that was not written", () => {
  const directory = mkdtempSync(join(tmpdir(), "rows-"));
  const storage = new RowStorage({ memoryBytes: 100, directory });
  const [first, second] = [storage.create([5, 2]), storage.create([5, 2, 2])];
  expect(storage.files).toBe(1);
  expect(readdirSync(directory)).toEqual([]);
  for (const rows of [first, second]) rows.write(Float32Array.of(1, 2, 3, 4), 1);
  expect(first.between(1, 3)).toEqual(float32([1, 2, 3, 4], [2, 2]));
  expect(second.at([1])).toEqual(float32([1, 2, 3, 4], [1, 2, 2]));
  second.write(Float32Array.of(5, 6, 7, 8), 0);
  expect(second.at([1, 0]).data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  expect(() => second.at([4])).toThrow(/row 4 of .* was not written/);
  first.release();
  storage.create([5, 5]);
  expect(storage.files).toBe(1);
  second.release();
  expect(() => second.at([0])).toThrow();
});

test("the images of a step differ: all of them where a batch holds all", async () => {
  const options = { batchSize: 16, steps: 4, learningRate: 0.01 };
  const [a, b] = [
    await reconstructed(adaRound, options, 1),
    await reconstructed(adaRound, options, 2),
  ];
  expect(a.losses.length).toBeGreaterThan(0);
  a.losses.forEach((loss, i) => {
    expect((b.losses[i] ?? NaN) / loss).toBeCloseTo(1, 3);
  });
});

test("BRECQ's weights are 1 and the gradient of the mean divergence of 32 images", async () => {
  const placed = placeQuantizers(floatNetwork, academic, { weights: 4, activations: 4 });
  const values = await calibrate(engine, {
    ...{ ...placed, algorithm: brecq, parameters: checkpoint, dataset, hyperparameters },
  });
  const tensors = { ...checkpoint, ...values };
  const unit = blockUnits(placed.network).at(-2);
  const [input] = unit?.inputs ?? [];
  if (unit === undefined || input === undefined) throw new Error("no block before the classifier");
  const count = 48;
  const channels = 4 * width;
  const inner = unit.network.nodes[0];
  const shape = inner?.op === "input" ? inner.shape : [];
  const size = count * shape.reduce((a, b) => a * b, 1);
  const quantized = new Map([
    [input, rowsOf(float32(Float32Array.from(normalValues(size, 1), Math.abs), [count, ...shape]))],
  ]);
  const given = await runPart(engine, {
    ...{ unit, values: quantized, tensors },
    mode: (current) => ({ quantize: quantizeWith(brecq, placed.sites, current) }),
  });
  const output = given.between(0, count);
  const exact = Float32Array.from(output.data, (v, i) => v * (1 + 0.5 * Math.sin(i)));
  const task = {
    ...{ ...placed, algorithm: brecq, tensors, hyperparameters, seed: 0 },
    images: float32(new Float32Array(0), [0]),
  };
  const float = new Map([[unit.output, rowsOf(float32(exact, output.shape))]]);
  const last = placed.network.nodes.at(-1)?.name ?? "";
  const predicted = await runPart(engine, {
    unit: unitBetween(placed.network, new Set([unit.output]), last),
    ...{ values: float, tensors, mode: () => ({ quantize: unquantized }) },
  });
  float.set(last, predicted);
  const found = await fisherWeights(engine, task, { unit, tensors, quantized, float });
  const weights = found?.between(0, count);

  // Behind the block: the mean over places and the classifier, in float64.
  const places = output.data.length / count / channels;
  const kernel = checkpoint["classifier/kernel"]?.data ?? [];
  const bias = checkpoint["classifier/bias"]?.data ?? [];
  const classes = dataset.classes;
  const prediction = (data: ArrayLike<number>, image: number): number[] => {
    const logits = Array.from({ length: classes }, (_, k) => {
      let sum = bias[k] ?? 0;
      for (let place = 0; place < places; place++)
        for (let c = 0; c < channels; c++)
          sum +=
            ((data[(image * places + place) * channels + c] ?? NaN) / places) *
            (kernel[c * classes + k] ?? NaN);
      return Math.exp(sum);
    });
    const total = logits.reduce((a, b) => a + b);
    return logits.map((v) => v / total);
  };
  expect(weights?.shape).toEqual(output.shape);
  let largest = 0;
  for (let image = 0; image < count; image++) {
    const [p, q] = [prediction(exact, image), prediction(output.data, image)];
    for (let c = 0; c < channels; c++) {
      const gradient = p.reduce(
        (sum, share, k) => sum + ((q[k] ?? NaN) - share) * (kernel[c * classes + k] ?? NaN),
        0,
      );
      const expected = Math.abs(gradient) / places / 32;
      largest = Math.max(largest, expected);
      const reached = (weights?.data[image * places * channels + c] ?? NaN) - 1;
      expect(Math.abs(reached - expected)).toBeLessThan(2e-7 + 1e-3 * expected);
    }
  }
  expect(largest).toBeGreaterThan(1e-5);
});

test("HAWQ's errors are those of the grid between the extremes of each scale", () => {
  // Two output channels: steps of 3 / 1.5 and 1 / 1.5 at 2 bits, codes -2 to 1.
  const kernel = float32(Float32Array.of(3, 1, -1, 0.5, 0.5, -0.2), [3, 2]);
  const place = site({
    shape: [3, 2],
    channelAxis: 1,
    scheme: { ...int4, bitWidth: 2, granularity: "perChannel" },
  });
  // 3 -> 2, -1 -> 0 (a tie), 0.5 -> 0; 1 -> 2/3, 0.5 -> 2/3, -0.2 -> 0.
  const expected = 1 + 1 + 0.25 + (1 / 3) ** 2 + (1 / 6) ** 2 + 0.04;
  expect(squaredError(place, kernel)).toBeCloseTo(expected, 5);
});

test("errors of a kernel of real size equal a float64 computation", () => {
  const shape = [3, 3, 16, 32];
  const values = Float32Array.from(normalValues(3 * 3 * 16 * 32, 5), (v, i) => v * (1 + (i % 32)));
  const place = site({
    shape,
    channelAxis: 3,
    scheme: { ...int4, granularity: "perChannel" },
  });
  let expected = 0;
  for (let channel = 0; channel < 32; channel++) {
    const own = values.filter((_, i) => i % 32 === channel);
    const scale = Math.max(...own.map(Math.abs)) / 7.5;
    for (const w of own) {
      const code = Math.min(Math.max(Math.round(w / scale), -8), 7);
      expected += (code * scale - w) ** 2;
    }
  }
  expect(squaredError(place, float32(values, shape)) / expected).toBeCloseTo(1, 5);
});
