// A process for one job after the other: what crashes, hangs or runs out of memory here is one result.
import type { EngineName, LoweringChoice } from "../../pipelines/engine/index.js";
import { RunDirectory } from "../../results/store.js";
import { pretrain, runCell } from "../cell/index.js";
import type { DatasetReference } from "../inputs/index.js";
import { type Cell } from "../planning/index.js";
import { finished, send, serveJobs } from "./childProcess.js";
import { contextOf } from "./jobContext.js";

export interface Job {
  readonly kind: "pretrain" | "cells";
  /** For "pretrain" one of the cells that need it; else cells that share a training or a search. */
  readonly cells: readonly Cell[];
  readonly engine: EngineName;
  readonly lowering: LoweringChoice;
  /** More than one only where nothing else can run meanwhile. */
  readonly threads: number;
  readonly runDirectory: string;
  readonly dataset: DatasetReference;
  readonly dataDirectory: string;
}

serveJobs(async (job: Job) => {
  const [first] = job.cells;
  if (first === undefined) throw new Error("a job needs at least one cell");
  const context = await contextOf(job, first.config, new RunDirectory(job.runDirectory));
  if (job.kind === "pretrain") {
    await pretrain(first, context);
    return;
  }
  const byTraining = new Map<string, object>();
  for (const cell of job.cells) {
    const shared = byTraining.get(cell.trainingKey) ?? {};
    byTraining.set(cell.trainingKey, shared);
    const result = await runCell(cell, context, shared);
    await context.directory.writeCell(result);
    send(finished(result));
  }
});
