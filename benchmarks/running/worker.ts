// A process for one job after the other: what crashes, hangs or runs out of memory here is one result.
import type { Dataset, TrainingProgress } from "../../pipelines/train/index.js";
import { loadEngine, type EngineName, type LoweringChoice } from "../../pipelines/engine/index.js";
import { deviceAccuracy } from "../../results/device.js";
import { RunDirectory } from "../../results/store.js";
import { pretrain, runCell, type CellContext } from "../cell/index.js";
import {
  type DatasetReference,
  loadDataset,
  loadOwnNetwork,
  withClasses,
} from "../inputs/index.js";
import { type Cell } from "../planning/index.js";
import { loadPlugins } from "../plugins/index.js";

export interface Job {
  readonly kind: "pretrain" | "cells";
  /** For "pretrain" one of the cells that need it; else cells that share a training. */
  readonly cells: readonly Cell[];
  readonly engine: EngineName;
  readonly lowering: LoweringChoice;
  /** More than one only where nothing else can run meanwhile. */
  readonly threads: number;
  readonly runDirectory: string;
  readonly dataset: DatasetReference;
  readonly dataDirectory: string;
}

/** Of a completed cell: of its float network, and in its backend's own arithmetic where that is known. */
export interface Accuracies {
  readonly float: number;
  readonly device: number;
}

export type WorkerMessage =
  | ({ readonly type: "progress"; readonly stage: string } & Partial<TrainingProgress>)
  | {
      readonly type: "finished";
      readonly cellId: string;
      readonly state: string;
      readonly accuracy?: Accuracies;
    }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "error"; readonly message: string }
  /** The job is done, and whether this process is fit for another. */
  | { readonly type: "done"; readonly takesMore: boolean };

const PROGRESS_INTERVAL_MS = 250;
/** Memory that a process may hold on to between jobs, in bytes. */
const MEMORY_FOR_MORE = 1024 ** 3;

// The parent is gone: nobody waits for this work, and another run may want the directory.
const exitOrphaned = (): never => process.exit(1);
process.on("disconnect", exitOrphaned);

process.on("message", (job: Job) => {
  run(job).then(
    () => {
      send({ type: "done", takesMore: process.memoryUsage.rss() < MEMORY_FOR_MORE });
    },
    (error: unknown) => {
      // What failed may have left a mess behind: the next job gets a new process.
      send({ type: "error", message: describe(error) });
      process.off("disconnect", exitOrphaned);
      process.disconnect();
    },
  );
});

const plugins = loadPlugins(process.argv.slice(2));
plugins.catch(() => undefined); // the first job fails with its reason

async function run(job: Job): Promise<void> {
  await plugins;
  const [first] = job.cells;
  if (first === undefined) throw new Error("a job needs at least one cell");
  const { dataset, model } = first.config;
  if (model.checksum !== undefined) await loadOwnNetwork(job.runDirectory, model.checksum);
  const context: CellContext = {
    engine: await loadEngine(job.engine, job.lowering, job.threads),
    dataset: await datasetFor(job, first.config),
    directory: new RunDirectory(job.runDirectory),
    onProgress: throttledProgress(),
    onNote: (text) => {
      send({ type: "note", text });
    },
  };
  if (context.dataset.checksum !== dataset.checksum) {
    throw new Error(`the files of data set "${dataset.name}" changed while the run was going on`);
  }
  if (job.kind === "pretrain") {
    await pretrain(first, context);
    return;
  }
  const shared = {};
  for (const cell of job.cells) {
    const result = await runCell(cell, context, shared);
    await context.directory.writeCell(result);
    const { state } = result;
    const accuracy =
      state === "completed"
        ? { accuracy: { float: result.accuracy.float, device: deviceAccuracy(result) } }
        : {};
    send({ type: "finished", cellId: cell.id, state, ...accuracy });
  }
}

let loaded: { readonly key: string; readonly dataset: Dataset } | undefined;

/** The data set of the job before, if it is the same. */
async function datasetFor(
  { dataset: reference, dataDirectory }: Job,
  { model, hyperparameters }: Cell["config"],
): Promise<Dataset> {
  const key = JSON.stringify([reference, dataDirectory, model, hyperparameters]);
  if (loaded?.key !== key) {
    const dataset = await loadDataset(reference, dataDirectory, hyperparameters);
    loaded = { key, dataset: withClasses(dataset, model) };
  }
  return loaded.dataset;
}

function throttledProgress(): CellContext["onProgress"] {
  let last = -Infinity;
  return (stage, progress) => {
    const now = performance.now();
    if (progress !== undefined && now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    send({ type: "progress", stage, ...progress });
  };
}

function send(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [frame] = (error.stack ?? "")
    .split("\n")
    .filter((line) => line.includes("/pipelines/") || line.includes("/algorithms/"));
  const place = frame?.trim().replace(/\(.*\/dist\//, "(");
  return place === undefined ? error.message : `${error.message} (${place})`;
}
