// How fast this machine trains: `npm run bench`, or `npm run bench -- --json`. Steps of several
// networks, algorithms, lowerings and batch sizes; what compiling one costs; where a cell's time goes.
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { Command } from "commander";
import { Bench } from "tinybench";
import type { Algorithm } from "../../algorithms/algorithm.js";
import { apot } from "../../algorithms/apot.js";
import { dorefa } from "../../algorithms/dorefa.js";
import { dsq } from "../../algorithms/dsq.js";
import { lsq } from "../../algorithms/lsq.js";
import { pact } from "../../algorithms/pact.js";
import { qil } from "../../algorithms/qil.js";
import { academic } from "../../backends/academic.js";
import { onnxruntime } from "../../backends/onnxruntime.js";
import type { BackendProfile } from "../../backends/backend.js";
import { loadEngine, type Engine } from "../../pipelines/engine/index.js";
import { RunDirectory } from "../../results/store.js";
import { runCell } from "../cell/index.js";
import { packageVersion } from "../running/index.js";
import { loadMatrix, planCells } from "../planning/index.js";
import { mobileNetV2, type Model, resnet20, resnet8, resnet8Adder } from "../models/index.js";
import { loadDataset } from "../inputs/index.js";
import { preparedTraining, runningTraining } from "./preparedTraining.js";

const STEPS = 8;

interface StepCase {
  readonly model: Model;
  readonly width: number;
  /** Absent: float. */
  readonly algorithm?: Algorithm;
  readonly backend?: BackendProfile;
  readonly batchSize?: number;
  readonly engine?: keyof typeof engines;
}

const resnet = { model: resnet8, width: 16 };
const STEP_CASES: readonly StepCase[] = [
  { ...resnet },
  { ...resnet, engine: "standard" },
  { ...resnet, algorithm: lsq },
  { ...resnet, algorithm: lsq, engine: "standard" },
  { ...resnet, engine: "portable" },
  { ...resnet, algorithm: lsq, engine: "portable" },
  { ...resnet, algorithm: lsq, batchSize: 32 },
  { ...resnet, algorithm: lsq, batchSize: 64 },
  { ...resnet, algorithm: lsq, backend: onnxruntime },
  ...[pact, dorefa, dsq, qil, apot].map((algorithm) => ({ ...resnet, algorithm })),
  { model: resnet8, width: 8 },
  { model: resnet8, width: 8, engine: "portable" },
  { model: resnet8Adder, width: 8, engine: "portable" },
  { model: resnet8, width: 8, algorithm: lsq },
  { model: resnet8, width: 8, algorithm: lsq, engine: "portable" },
  { model: resnet20, width: 16 },
  { model: resnet20, width: 16, algorithm: lsq },
  { model: resnet20, width: 16, algorithm: lsq, engine: "portable" },
  { model: mobileNetV2, width: 8, algorithm: lsq },
  { model: mobileNetV2, width: 8, algorithm: lsq, engine: "portable" },
];

const dataset = await loadDataset("fashionMnist", "", {});
const engines = {
  auto: await loadEngine("onnxruntime"),
  standard: await loadEngine("onnxruntime", "standard"),
  portable: await loadEngine("portable"),
};

interface StepSpeed {
  readonly network: string;
  readonly algorithm: string;
  readonly backend: string;
  readonly lowering: string;
  readonly batchSize: number;
  readonly imagesPerSecond: number;
  /** From a function in tfjs operations to a graph that is ready to run, in milliseconds. */
  readonly compileMs: number;
}

async function stepSpeed({
  model,
  width,
  algorithm,
  backend = academic,
  batchSize = 128,
  engine: name = "auto",
}: StepCase): Promise<StepSpeed> {
  const engine = engines[name];
  const compile = { ms: 0 };
  const training = await preparedTraining(engine, {
    ...{ dataset, model, width, batchSize },
    ...(algorithm && { quantized: { algorithm, backend, bits: 4 } }),
  });
  const { phase, batches } = runningTraining(timed(engine, compile), training);
  const bench = new Bench({
    ...{ iterations: STEPS, time: 0, warmupIterations: 2, warmupTime: 0, throws: true },
  });
  bench.add("step", async () => {
    await phase.step(batches.next().value, 0.01);
  });
  await bench.run();
  await phase.release();
  const result = bench.getTask("step")?.result;
  if (result?.state !== "completed") throw new Error(`${model.name} was not measured`);
  return {
    network: `${model.title}, width ${String(width)}`,
    algorithm: algorithm?.title ?? "float",
    backend: algorithm === undefined ? "" : backend.title,
    lowering: engine.lowering ?? engine.name,
    batchSize,
    imagesPerSecond: (batchSize / result.latency.p50) * 1000,
    compileMs: compile.ms,
  };
}

/** The engine, telling how long it took to compile. */
function timed(engine: Engine, compile: { ms: number }): Engine {
  return {
    ...engine,
    async compile(step, signature) {
      const start = performance.now();
      const compiled = await engine.compile(step, signature);
      compile.ms += performance.now() - start;
      return compiled;
    },
  };
}

interface StageSeconds {
  readonly cell: string;
  readonly seconds: Readonly<Record<string, number>>;
}

/** One cell of the quick matrix, behind a float training that is cut to a few steps. */
async function cellStages(algorithm: string): Promise<StageSeconds> {
  const matrix = await loadMatrix("quick");
  const { hyperparameters } = matrix;
  const short = { ...hyperparameters, pretrain: { epochs: 0.02, learningRate: 0.1 } };
  const cells = await planCells({ ...matrix, hyperparameters: short }, dataset, engines.auto);
  const cell = cells.find(
    ({ config }) => config.algorithm.name === algorithm && config.backend.name === "onnxruntime",
  );
  if (cell === undefined) throw new Error(`the quick matrix has no cell of ${algorithm}`);
  const directory = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-speed-")));
  try {
    await directory.create();
    const result = await runCell(cell, {
      ...{
        engine: engines.auto,
        dataset,
        directory,
        onProgress: () => undefined,
        onNote: () => undefined,
      },
    });
    if (result.state !== "completed") throw new Error(`the cell ended as ${result.state}`);
    return { cell: algorithm, seconds: result.measured.seconds };
  } finally {
    await rm(directory.path, { recursive: true, force: true });
  }
}

const { json } = new Command("npm run bench --")
  .description("measures training steps, compilation and the stages of a cell on one thread")
  .option("--json", "print JSON instead of tables", false)
  .parse()
  .opts<{ json: boolean }>();

const steps: StepSpeed[] = [];
for (const [i, entry] of STEP_CASES.entries()) {
  const title = `${entry.model.title} ${entry.algorithm?.title ?? "float"}`;
  process.stderr.write(`[${String(i + 1)}/${String(STEP_CASES.length)}] ${title}\n`);
  steps.push(await stepSpeed(entry));
}
const cells: StageSeconds[] = [];
for (const algorithm of ["minMax", "lsq", "adaRound"]) {
  process.stderr.write(`stages of a ${algorithm} cell\n`);
  cells.push(await cellStages(algorithm));
}

const right = { style: { head: [], border: [] } };
function tables(): string {
  const speeds = new Table({
    ...right,
    head: ["network", "algorithm", "backend", "lowering", "batch", "images/s", "compile"],
    colAligns: ["left", "left", "left", "left", "right", "right", "right"],
  });
  for (const { network, algorithm, backend, lowering, ...entry } of steps) {
    const { batchSize, imagesPerSecond, compileMs } = entry;
    speeds.push([
      ...[network, algorithm, backend, lowering.replace(/:.*/, ""), String(batchSize)],
      ...[imagesPerSecond.toFixed(0), `${(compileMs / 1000).toFixed(2)} s`],
    ]);
  }
  const stages = [...new Set(cells.flatMap(({ seconds }) => Object.keys(seconds)))];
  const shares = new Table({
    ...right,
    head: ["stage", ...cells.map(({ cell }) => cell)],
    colAligns: ["left", ...cells.map(() => "right" as const)],
  });
  for (const stage of stages) {
    shares.push([stage, ...cells.map(({ seconds }) => `${(seconds[stage] ?? 0).toFixed(2)} s`)]);
  }
  return [
    "Training steps on 28x28x1, W4A4, one thread, median of 8",
    speeds.toString(),
    `Stages of a quick cell on ${onnxruntime.title} (float training cut to 6 steps)`,
    shares.toString(),
  ].join("\n");
}

process.stdout.write(
  json
    ? `${JSON.stringify({ version: packageVersion, node: process.version, cpu: os.cpus()[0]?.model, steps, cells }, null, 2)}\n`
    : `${tables()}\n`,
);
