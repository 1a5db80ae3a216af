import { expect, test } from "vitest";
import { lsq } from "../../../algorithms/lsq.js";
import { academic } from "../../../backends/academic.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import {
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { train, type Hyperparameters } from "../../../pipelines/train/index.js";
import { toyDataset } from "../../support.js";

const dataset = toyDataset();
const hyperparameters = {
  ...{ batchSize: 8, momentum: 0.9, weightDecay: 0, calibrationBatches: 2 },
  augmentation: { shift: 0, flip: false },
  pretrain: { epochs: 6, learningRate: 0.05 },
  quantizedTraining: { epochs: 1, learningRate: 0.001 },
} satisfies Hyperparameters;
const engine = await loadEngine("onnxruntime");
const floatNetwork = resnet8.build({ inputShape: dataset.shape, classes: 4, width: 4 });
const { tensors: checkpoint } = await train(engine, {
  ...{ network: floatNetwork, tensors: initialParameters(floatNetwork, 0), dataset },
  ...{ hyperparameters, schedule: hyperparameters.pretrain, seed: 0, name: "pretrain" },
});
const quantized = placeQuantizers(foldBatchNorm(floatNetwork, 4), academic, {
  weights: 4,
  activations: 4,
});
const trained = (changes: Partial<Hyperparameters>) =>
  quantize(engine, {
    ...{ algorithm: lsq, floatNetwork, checkpoint, rewritten: floatNetwork, batchNorm: 4 },
    ...{ quantized, dataset, hyperparameters: { ...hyperparameters, ...changes }, seed: 0 },
  });
const statistics = (tensors: typeof checkpoint) =>
  Object.entries(tensors).filter(([name]) => /\/(mean|variance)$/.test(name));

test("batch norm stays as it arrived, and weights are trained all the same", async () => {
  const { tensors, fineTuned } = await trained({ fineTuning: { batchNorm: "frozen" } });
  const before = statistics(checkpoint);
  expect(before.length).toBeGreaterThan(0);
  for (const [name, { data }] of before) expect(tensors[name]?.data).toEqual(data);
  const moved = Object.keys(checkpoint).filter((name) => name.endsWith("/kernel"));
  for (const name of moved) expect(tensors[name]?.data).not.toEqual(checkpoint[name]?.data);
  expect(fineTuned?.kept).toBe("trained");
  const learned = await trained({ fineTuning: { batchNorm: "learned" } });
  expect(statistics(learned.tensors)).not.toEqual(before);
});

test("a training that destroys the network is told, and the calibrated network kept", async () => {
  const destroying = { quantizedTraining: { epochs: 1, learningRate: 3 } };
  const fineTuning = { batchNorm: "frozen" } as const;
  const { tensors, fineTuned, losses, divergedAt } = await trained({ ...destroying, fineTuning });
  expect(fineTuned?.kept).toBe("calibrated");
  expect(fineTuned?.trained).toBeLessThan(fineTuned?.calibrated ?? 0);
  expect(losses.length).toBeGreaterThan(0);
  expect(divergedAt).toBeUndefined();
  for (const [name, { data }] of Object.entries(checkpoint))
    expect(tensors[name]?.data).toEqual(data);
});

test("networks that are trained from scratch have no such floor", async () => {
  expect((await trained({})).fineTuned).toBeUndefined();
});
