import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { channelwiseSize } from "../../../algorithms/channelwiseSize.js";
import { lsq } from "../../../algorithms/lsq.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import {
  decodeSearch,
  decodeState,
  encodeSearch,
  encodeState,
  keptTraining,
} from "../../../benchmarks/cell/keptTraining.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { initialParameters, placeQuantizers } from "../../../pipelines/network/index.js";
import { calibrate } from "../../../pipelines/quantize/index.js";
import { train, type Training, type TrainingState } from "../../../pipelines/train/index.js";
import { toyDataset } from "../../support.js";

const engine = await loadEngine("onnxruntime");
const dataset = toyDataset();
const schedule = { epochs: 3, learningRate: 0.05 };
const hyperparameters = {
  ...{ batchSize: 8, momentum: 0.9, weightDecay: 1e-4, calibrationBatches: 1 },
  augmentation: { shift: 1, flip: true },
  ...{ pretrain: schedule, quantizedTraining: schedule },
};
const network = resnet8.build({ inputShape: dataset.shape, classes: dataset.classes, width: 4 });
const parameters = initialParameters(network, 0);

async function trainingOf(algorithm: Algorithm | undefined): Promise<Training> {
  const common = { network, dataset, hyperparameters, schedule, seed: 0, name: "kept" };
  if (algorithm === undefined) return { ...common, tensors: parameters };
  const placed = placeQuantizers(network, onnxruntime, { weights: 4, activations: 4 });
  const task = { ...placed, algorithm, parameters, dataset, hyperparameters };
  const values = await calibrate(engine, task);
  const quantizers = { algorithm, sites: placed.sites, teacher: { network, parameters } };
  return { ...common, network: placed.network, quantizers, tensors: { ...parameters, ...values } };
}

class Stop extends Error {}

/** What a training leaves behind that is stopped behind some of its steps, and goes on from `found`. */
async function stoppedAfter(training: Training, steps: number, found?: TrainingState) {
  let file = new Uint8Array(0);
  const keep = (state: () => TrainingState) => {
    const now = state();
    if (now.step < steps) return Promise.resolve();
    file = encodeState(now, "key").slice();
    return Promise.reject(new Stop());
  };
  await expect(train(engine, { ...training, keeper: { found, keep } })).rejects.toThrow(Stop);
  return decodeState(file, "key");
}

test.each([
  ["float", undefined],
  ["one phase", lsq],
  ["phases that take turns", channelwiseSize],
])("a training that was stopped twice goes on to the same bits: %s", async (_, algorithm) => {
  const training = await trainingOf(algorithm);
  const whole = await train(engine, training);
  const steps = whole.losses.length;
  const once = await stoppedAfter(training, Math.floor(0.3 * steps));
  const twice = await stoppedAfter(training, Math.floor(0.9 * steps), once);
  const seen: number[] = [];
  const resumed = await train(engine, {
    ...training,
    keeper: { found: twice, keep: () => Promise.resolve() },
    onStep: ({ step }) => seen.push(step),
  });
  expect(seen[0]).toBe(Math.floor(0.9 * steps) + 1);
  expect(resumed).toEqual(whole);
  expect(Object.keys(resumed.tensors)).toEqual(Object.keys(whole.tensors));
});

const state: TrainingState = {
  step: 2,
  losses: Float32Array.of(1, 2),
  accuracies: Float32Array.of(0, 1),
  tensors: { w: { dtype: "float32", shape: [2], data: Float32Array.of(3, 4) } },
  momenta: new Map(),
  next: { order: [1, 2, 3, 4], changes: [5, 6, 7, 8], start: 8 },
};

test("a state that is damaged, cut off or of another training is told and not used", async () => {
  const file = encodeState(state, "key");
  expect(decodeState(file, "key")).toEqual(state);
  for (let i = 0; i < file.length; i += 7) {
    const damaged = file.slice();
    damaged[i] = (damaged[i] ?? 0) ^ 4;
    expect(() => decodeState(damaged, "key")).toThrow("its checksum is wrong");
  }
  expect(() => decodeState(file.subarray(0, 50), "key")).toThrow("its checksum is wrong");
  expect(() => decodeState(file, "another")).toThrow("it is of another training");

  const path = join(await mkdtemp(join(os.tmpdir(), "quantbench-kept-")), "a.unfinished");
  const notes: string[] = [];
  const open = () => keptTraining(path, "key", (reason) => notes.push(reason));
  expect((await open()).found).toBeUndefined();
  await writeFile(path, file.subarray(1));
  expect((await open()).found).toBeUndefined();
  expect(notes).toEqual(["its checksum is wrong"]);
  await writeFile(path, file);
  const kept = await open();
  expect(kept.found).toEqual(state);
  await kept.keep(() => ({ ...state, step: 3 }));
  expect(decodeState(await readFile(path), "key").step).toBe(2); // too soon to write again
  await kept.forget();
  expect(existsSync(path)).toBe(false);
  expect(await readdir(join(path, ".."))).toEqual([]);
});

test("a search is kept with every bit of its state, and not taken when damaged or of another one", () => {
  const inner = { agent: { weights: Float64Array.of(0.1, -0, NaN) }, best: -Infinity };
  const search = {
    rounds: { episodes: { done: 3, state: inner, visits: 100, lines: 1 } },
    trace: [{ policy: { a: 2 }, accuracy: 1 / 3, cost: 7, visits: 100 }],
  };
  const file = encodeSearch(search, "key");
  expect(decodeSearch(file, "key")).toEqual(search);
  expect(() => decodeSearch(file, "another")).toThrow("it is of another search");
  const damaged = file.slice();
  damaged[50] = (damaged[50] ?? 0) ^ 1;
  expect(() => decodeSearch(damaged, "key")).toThrow("its checksum is wrong");
});
