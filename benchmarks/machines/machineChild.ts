// A process that computes jobs of a queue for a worker: what it needs comes from the store, what it finds
// out goes there, the result last, so that a result that is there has everything that belongs to it.
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "../../results/makeDirectory.js";
import { RunDirectory } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { type CellContext, pretrain, runCell, stageKeys, unfinishedNames } from "../cell/index.js";
import type { Cell } from "../planning/index.js";
import { contextOf, finished, type JobInputs, send, serveJobs } from "../running/index.js";
import { patient } from "./patientStore.js";
import { planHere } from "./planHere.js";
import {
  cellKey,
  modelKey,
  networkKey,
  pathIn,
  publishFile,
  publishResult,
  readResult,
  stageKey,
  unfinishedKey,
} from "./results.js";
import type { JobData } from "./schema.js";
import { openStore } from "./openStore.js";
import { type Store } from "./store.js";

/** A job as a worker hands it to this process. */
export interface ChildJob extends JobInputs {
  readonly id: string;
  readonly data: JobData;
  readonly store: string;
  /** A run directory of this worker's own. */
  readonly scratch: string;
  /** The environment, as the store calls it. */
  readonly origin: string;
}

/** How often the state of a training is stored, so that another machine can go on with it. */
const KEEP_MS = 60_000;

/** A job at work. */
interface Work {
  readonly store: Store;
  readonly directory: RunDirectory;
  readonly origin: string;
  readonly note: (text: string) => void;
}

serveJobs(async (job: ChildJob) => {
  const { config, kind, cellId } = job.data;
  const note = (text: string) => {
    send({ type: "note", text });
  };
  const work: Work = {
    store: patient(openStore(job.store), note),
    directory: new RunDirectory(job.scratch),
    ...{ origin: job.origin, note },
  };
  await work.directory.create();
  const { checksum } = config.model;
  if (checksum !== undefined) await fetched(work, networkKey(checksum));
  const context = await contextOf(job, config, work.directory);
  const cell = await planHere(cellId, config, context);
  if (kind === "pretrain") await computePretraining(cell, context, work);
  else await computeCell(cell, context, work);
});

async function computePretraining(cell: Cell, context: CellContext, work: Work): Promise<void> {
  const [float] = stageKeys(cell);
  if (await fetched(work, stageKey(float))) return;
  await whileKept(work, context, float, (kept) => pretrain(cell, kept));
  await publishStage(work, float);
}

async function computeCell(cell: Cell, context: CellContext, work: Work): Promise<void> {
  const { store, directory, origin, note } = work;
  const known = await readResult(store, cellKey(cell), note);
  if (known !== undefined && known.result.state !== "failed") {
    send(finished(known.result));
    return;
  }
  const stages = stageKeys(cell);
  const [float, quantized] = stages;
  const had = {
    float: await fetched(work, stageKey(float)),
    quantized: await fetched(work, stageKey(quantized)),
  };
  const result = await whileKept(work, context, had.float ? quantized : float, (kept) =>
    runCell(cell, kept),
  );
  for (const stage of stages)
    if (!had[stage === float ? "float" : "quantized"] && existsSync(directory.stageFile(stage)))
      await publishStage(work, stage);
  await directory.writeCell(result);
  const [model, file] = [modelKey(cell), cellKey(cell)].map((key) => pathIn(directory.path, key));
  if (model !== undefined && existsSync(model))
    await publishFile(store, { key: modelKey(cell), path: model, origin }, note);
  const bytes = await readFile(file ?? "");
  const publication = await publishResult(store, { result, bytes, origin }, note);
  send({ ...finished(result), ...(publication !== "first" && { duplicate: publication }) });
  // The float checkpoint stays for the next cells.
  for (const path of [model, file, directory.stageFile(quantized)])
    if (path !== undefined) await rm(path, { force: true });
}

async function publishStage(
  { store, directory, origin, note }: Work,
  stage: string,
): Promise<void> {
  await publishFile(
    store,
    { key: stageKey(stage), path: directory.stageFile(stage), origin },
    note,
  );
  for (const name of Object.values(unfinishedNames(stage))) await store.remove(unfinishedKey(name));
}

/** Brings a file from the store into the run directory; says whether it is there. */
async function fetched({ store, directory, note }: Work, key: string): Promise<boolean> {
  const path = pathIn(directory.path, key);
  if (existsSync(path)) return true;
  const found = await store.get(key);
  if (found === undefined) return false;
  if ("broken" in found) {
    note(`${store.location}: ${key} ${found.broken}; it is computed again`);
    return false;
  }
  await makeDirectory(dirname(path));
  await writeAtomically(path, found.bytes);
  return true;
}

/** Stores now and then how far a training or search is, and goes on where another machine has left it. */
async function whileKept<T>(
  { store, directory, origin, note }: Work,
  context: CellContext,
  stage: string,
  compute: (context: CellContext) => Promise<T>,
): Promise<T> {
  const names = Object.values(unfinishedNames(stage));
  for (const name of names) {
    const path = directory.unfinishedStageFile(name);
    const found = existsSync(path) ? undefined : await store.get(unfinishedKey(name));
    if (found !== undefined && "bytes" in found) await writeAtomically(path, found.bytes);
  }
  let next = performance.now() + KEEP_MS;
  let writing = Promise.resolve();
  const keep = async () => {
    for (const name of names) {
      const bytes = await readFile(directory.unfinishedStageFile(name)).catch(() => undefined);
      // There is none before the first steps, nor after the last.
      if (bytes !== undefined) await store.replace(unfinishedKey(name), bytes, origin);
    }
  };
  const result = await compute({
    ...context,
    onProgress: (...progress) => {
      context.onProgress(...progress);
      if (performance.now() < next) return;
      next = performance.now() + KEEP_MS;
      writing = writing.then(keep).catch((error: unknown) => {
        note(`the state of a training was not stored: ${(error as Error).message}`);
      });
    },
  });
  await writing;
  return result;
}
