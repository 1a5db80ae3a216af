import { beforeAll, expect, test } from "vitest";
import * as tf from "#tf";
import { lsq } from "../../../algorithms/lsq.js";
import { academic } from "../../../backends/academic.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { initialParameters, placeQuantizers } from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { distilled, type Distillation } from "../../../pipelines/train/index.js";
import { normalValues, toyDataset } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

/** Probabilities of logits at a temperature, in double precision. */
function softmax(logits: readonly number[], temperature: number): number[] {
  const powers = logits.map((logit) => Math.exp(logit / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

test("the loss is (1 - a) CE + a T² KL(teacher ‖ student)", () => {
  const [student, teacher] = [normalValues(15, 1, 3), normalValues(15, 2, 3)];
  const temperature = 4;
  const rows = [0, 5, 10].map((from) => {
    const [p, q] = [teacher, student].map((x) => softmax(x.slice(from, from + 5), temperature));
    return (p ?? []).reduce((sum, v, i) => sum + v * Math.log(v / (q?.[i] ?? NaN)), 0);
  });
  const expected = 0.3 * 2 + 0.7 * 16 * (rows.reduce((a, b) => a + b, 0) / 3);
  const loss = distilled(
    { weight: 0.7, temperature },
    {
      crossEntropy: tf.scalar(2),
      logits: tf.tensor2d(student, [3, 5]),
      teacher: tf.tensor2d(teacher, [3, 5]),
    },
  );
  expect(loss.dataSync()[0]).toBeCloseTo(expected, 5);
});

test("any algorithm without a loss of its own trains with it", async () => {
  const dataset = toyDataset(16);
  const network = resnet8.build({ inputShape: dataset.shape, classes: 4, width: 2 });
  const quantized = placeQuantizers(network, academic, { weights: 4, activations: 4 });
  const engine = await loadEngine("onnxruntime");
  const losses = async (distillation?: Distillation) => {
    const result = await quantize(engine, {
      ...{ algorithm: lsq, floatNetwork: network, checkpoint: initialParameters(network, 0) },
      ...{ rewritten: network, batchNorm: -1, quantized, dataset, seed: 0 },
      hyperparameters: {
        ...{ batchSize: 8, momentum: 0.9, weightDecay: 1e-4, calibrationBatches: 1 },
        augmentation: { shift: 0, flip: false },
        pretrain: { epochs: 1, learningRate: 0.05 },
        quantizedTraining: { epochs: 1, learningRate: 0.01 },
        distillation,
      },
    });
    return result.losses;
  };
  const [plain, mixed, alone] = [
    await losses(),
    await losses({ weight: 0.9, temperature: 4 }),
    await losses({ weight: 1, temperature: 4 }),
  ];
  expect(mixed[0]).toBeCloseTo(0.1 * (plain[0] ?? NaN) + 0.9 * (alone[0] ?? NaN), 5);
  expect(alone[0]).toBeGreaterThan(0);
  expect(alone[0]).not.toBeCloseTo(plain[0] ?? NaN, 2);
});
