// How long the report of a large run takes, and how heavy it is: npm run bench:report [-- cells]
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { costOfNetwork, foldBatchNorm, placeQuantizers } from "../../pipelines/network/index.js";
import { renderReport } from "../../reports/report.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { encodeCorrect } from "../../results/correctImages.js";
import type { CellConfig, CompletedCell } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { describeEnvironment } from "../running/index.js";
import { resnet8 } from "../models/index.js";

const BITS = [8, 6, 4, 3, 2];
/** What a report of 10,000 cells may take on 2 cores. */
const LIMITS = { seconds: 15, memoryBytes: 1024 ** 3, indexBytes: 5e6 };

const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
const folded = foldBatchNorm(network, 1);

const IMAGES = 10_000;
const FLOAT_ACCURACY = 0.89;

const rightTexts = new Map<number, string>();

/** The first images, as many as the accuracy says; making them must not outweigh what is measured. */
function rightImages(accuracy: number): string {
  const count = Math.round(accuracy * IMAGES);
  const known =
    rightTexts.get(count) ??
    encodeCorrect(Uint8Array.from({ length: IMAGES }, (_, i) => (i < count ? 1 : 0)));
  rightTexts.set(count, known);
  return known;
}
const FLOAT_RIGHT = rightImages(FLOAT_ACCURACY);

const histogram = {
  ...{ from: -10, to: 9, levels: [-8, 7], uniform: true },
  counts: Buffer.from(Array.from({ length: 64 }, (_, i) => 4 * i)).toString("base64"),
};

/** A cell as runs have them, with made-up numbers. */
function syntheticCell(index: number): CompletedCell {
  const random = randomStream(index, "synthetic cell");
  const algorithm = algorithms[index % algorithms.length];
  const backend = backends[Math.floor(index / algorithms.length) % backends.length];
  const place = Math.floor(index / algorithms.length / backends.length);
  const bits = BITS[place % BITS.length] ?? 8;
  if (algorithm === undefined || backend === undefined) throw new Error("nothing is registered");
  const config: CellConfig = {
    model: { name: "resnet8", version: 1, width: 8 },
    dataset: { name: "synthetic", checksum: "synthetic" },
    algorithm: { name: algorithm.name, version: algorithm.version },
    backend: { name: backend.name, version: backend.version },
    bits: { weights: bits, activations: bits },
    seed: Math.floor(place / BITS.length),
    hyperparameters: {
      batchSize: 64,
      momentum: 0.9,
      weightDecay: 0.0001,
      augmentation: { shift: 0, flip: false },
      pretrain: { epochs: 1, learningRate: 0.1 },
      calibrationBatches: 1,
      quantizedTraining: { epochs: 1, learningRate: 0.01 },
    },
    engine: { name: "onnxruntime", version: "synthetic" },
    numerics: 0,
  };
  const deployed = Math.round(1e4 * (0.5 + 0.04 * bits + 0.1 * random.uniform())) / 1e4;
  const { sites } = placeQuantizers(folded, backend, {
    weights: Math.max(bits, backend.bitWidths.weights.min),
    activations: Math.max(bits, backend.bitWidths.activations.min),
  });
  const latency = {
    medianMs: 0.1 + random.uniform(),
    madMs: 0.01,
    quantilesMs: [0.1, 0.11, 0.12, 0.13, 0.14],
    samples: 100,
  };
  const steps = Array.from({ length: 150 }, () => random.uniform());
  return {
    id: canonicalHash({ config, index }),
    config,
    state: "completed",
    accuracy: { float: FLOAT_ACCURACY, simulated: deployed, deployed },
    agreement: { share: 1, largestDifference: 0 },
    runtimes: {
      onnxruntime: {
        ...{ accuracy: deployed, agreement: { share: 1, largestDifference: 0 } },
        ...{ equalLogits: 1, modelBytes: 32_611 },
      },
    },
    testImages: IMAGES,
    correctImages: { device: rightImages(deployed), float: FLOAT_RIGHT },
    classes: 10,
    losses: steps,
    batchAccuracies: steps,
    weightHash: "synthetic",
    size: { floatFileBytes: 84_216, quantizedFileBytes: 32_611, weightBytes: 12_000 },
    cost: { float: costOfNetwork(network, []), quantized: costOfNetwork(folded, sites) },
    sites: sites.map(({ id, role, scheme }) => ({
      ...{ id, role, bitWidth: scheme.bitWidth },
      scheme: "int4 symmetric per tensor",
    })),
    inspection: {
      images: 128,
      sites: sites.map(({ id }) => ({ id, low: -1, high: 1, clipped: 0, sqnr: 20, histogram })),
    },
    unquantized: [{ tensor: "classifier", reason: "the network's output" }],
    measured: {
      latency: { float: latency, quantized: latency },
      operators: {
        float: { Conv: { count: 8, microseconds: 200 } },
        quantized: { QLinearConv: { count: 8, microseconds: 100 } },
      },
      runtimes: { onnxruntime: { imagesPerSecond: 4000, peakBytes: 2e7 } },
      seconds: { evaluation: 2 },
    },
  };
}

const count = Number(process.argv[2] ?? 10_000);
const path = process.argv[3] ?? (await mkdtemp(join(os.tmpdir(), "quantbench-report-")));
const directory = new RunDirectory(path);
await directory.create();
const ids: string[] = [];
for (let index = 0; index < count; index++) {
  const cell = syntheticCell(index);
  ids.push(cell.id);
  // Not by the store, which flushes each file: that is not what is measured.
  await writeFile(join(path, "cells", `${cellName(cell)}.json`), JSON.stringify(cell, null, 2));
}
const run = {
  ...{ name: "synthetic", title: `Synthetic run of ${String(count)} cells` },
  ...{ command: "quantbench run synthetic", deviations: {}, notes: {}, cells: ids },
};
const environment = await describeEnvironment();

// What making the cells left to be written must not be counted; systems without it have no sync.
spawnSync("sync");
let peak = 0;
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss());
}, 50);
const started = performance.now();
const stored = await directory.readCells();
const results = ids.flatMap((id) => stored.get(id) ?? []);
const read = performance.now();
await directory.writeTables(results);
await directory.writeReport(renderReport({ run, environment, results }));
const written = performance.now();
clearInterval(watch);
peak = Math.max(peak, process.memoryUsage.rss());

const index = await stat(join(directory.report, "index.html"));
const pages = await readdir(join(directory.report, "cells"));
const seconds = (written - started) / 1000;
process.stdout.write(
  `${JSON.stringify(
    {
      cells: count,
      pages: pages.length,
      secondsReading: Number(((read - started) / 1000).toFixed(1)),
      seconds: Number(seconds.toFixed(1)),
      peakMemoryMiB: Math.round(peak / 1024 ** 2),
      indexMegabytes: Number((index.size / 1e6).toFixed(2)),
      limits: LIMITS,
    },
    null,
    2,
  )}\n`,
);
if (process.argv[3] === undefined) await rm(path, { recursive: true });
const slack = count / 10_000;
if (
  seconds > LIMITS.seconds * slack ||
  peak > LIMITS.memoryBytes ||
  index.size > LIMITS.indexBytes * slack
)
  process.exitCode = 1;
