// Training throughput of this machine: `npm run bench`, or with engine names as arguments.
import Table from "cli-table3";
import { Bench } from "tinybench";
import { TRAIN_ALL } from "../algorithms/algorithm.js";
import { lsq } from "../algorithms/lsq.js";
import { academic } from "../backends/academic.js";
import { calibrate } from "../pipelines/calibrate.js";
import { trainingBatches } from "../pipelines/data.js";
import {
  ENGINE_NAMES,
  inspectEngines,
  loadEngine,
  type Engine,
} from "../pipelines/engine/index.js";
import { placeQuantizers } from "../pipelines/network/placeQuantizers.js";
import { initialParameters } from "../pipelines/parameters.js";
import { RunningPhase, type Training } from "../pipelines/train.js";
import { unknownName } from "./lookup.js";
import type { Model } from "./models/model.js";
import { resnet20 } from "./models/resnet20.js";
import { resnet8 } from "./models/resnet8.js";
import { loadDataset } from "./plan.js";

const WIDTH = 16;
const BATCH = 128;
/** Plain JavaScript needs minutes for a step of 128 images. */
const PLAIN_BATCH = 2;
const STEPS = 10;

const dataset = await loadDataset("fashionMnist", "", {});

async function imagesPerSecond(engine: Engine, model: Model, quantized: boolean): Promise<number> {
  const batchSize = engine.name === "tfjs" ? PLAIN_BATCH : BATCH;
  const training = await prepare(engine, model, { quantized, batchSize });
  const phase = new RunningPhase(engine, training, quantized ? TRAIN_ALL[0] : undefined);
  const { hyperparameters, seed, name } = training;
  const batches = trainingBatches(dataset, { ...hyperparameters, seed, name });
  const plain = engine.name === "tfjs";
  const bench = new Bench({
    iterations: plain ? 1 : STEPS,
    time: 0,
    warmup: !plain,
    warmupIterations: 2,
    warmupTime: 0,
    throws: true,
  });
  bench.add("step", async () => {
    await phase.step(batches.next().value, 0.01);
  });
  await bench.run();
  await phase.release();
  const result = bench.getTask("step")?.result;
  if (result?.state !== "completed")
    throw new Error(`${model.name} was not measured on ${engine.name}`);
  return (batchSize / result.latency.p50) * 1000;
}

async function prepare(
  engine: Engine,
  model: Model,
  { quantized, batchSize }: { readonly quantized: boolean; readonly batchSize: number },
): Promise<Training> {
  const float = model.build({ inputShape: dataset.shape, classes: dataset.classes, width: WIDTH });
  const schedule = { epochs: 1, learningRate: 0.01 };
  const hyperparameters = {
    batchSize,
    momentum: 0.9,
    weightDecay: 1e-4,
    augmentation: { shift: 0, flip: false },
    pretrain: schedule,
    calibrationBatches: 1,
    quantizedTraining: schedule,
  };
  const parameters = initialParameters(float, 0);
  const common = { dataset, hyperparameters, schedule, seed: 0, name: "speed" };
  if (!quantized) return { network: float, tensors: parameters, ...common };
  const { network, sites } = placeQuantizers(float, academic, { weights: 4, activations: 4 });
  const values = await calibrate(engine, {
    network,
    sites,
    algorithm: lsq,
    parameters,
    dataset,
    hyperparameters,
  });
  const quantizers = { algorithm: lsq, sites, teacher: { network: float, parameters } };
  return { network, tensors: { ...parameters, ...values }, quantizers, ...common };
}

const requested = process.argv.slice(2);
for (const name of requested) {
  if (!ENGINE_NAMES.some((known) => known === name))
    throw new Error(unknownName("engine", name, ENGINE_NAMES));
}
const table = new Table({
  head: ["engine", "network", "float images/s", "LSQ W4A4 images/s"],
  style: { head: [], border: [] },
  colAligns: ["left", "left", "right", "right"],
});
for (const report of await inspectEngines()) {
  if (requested.length > 0 && !requested.includes(report.name)) continue;
  if (!report.available) {
    table.push([report.name, { colSpan: 3, content: `not available: ${report.reason}` }]);
    continue;
  }
  const engine = await loadEngine(report.name);
  for (const model of [resnet8, resnet20]) {
    process.stderr.write(`measuring ${model.title} on ${engine.name} ...\n`);
    const float = await imagesPerSecond(engine, model, false);
    const quantized = await imagesPerSecond(engine, model, true);
    const digits = engine.name === "tfjs" ? 1 : 0;
    table.push([
      engine.name,
      `${model.title}, width ${String(WIDTH)}`,
      float.toFixed(digits),
      quantized.toFixed(digits),
    ]);
  }
}
process.stdout.write(
  `${table.toString()}\nTraining steps on 28x28x1, one thread, batch ${String(BATCH)} (tfjs: ${String(PLAIN_BATCH)}), median step\n`,
);
