import type { Dataset } from "../../pipelines/train/index.js";
import { loadEngine, type EngineName, type LoweringChoice } from "../../pipelines/engine/index.js";
import type { RunDirectory } from "../../results/store.js";
import type { CellContext } from "../cell/index.js";
import {
  type DatasetReference,
  loadDataset,
  loadOwnNetwork,
  withClasses,
} from "../inputs/index.js";
import { type Cell } from "../planning/index.js";
import { send, throttledProgress } from "./childProcess.js";

/** What jobs compute with. */
export interface JobInputs {
  readonly engine: EngineName;
  readonly lowering: LoweringChoice;
  readonly threads: number;
  readonly dataset: DatasetReference;
  readonly dataDirectory: string;
}

/**
 * What a child process needs to compute cells like this one.
 *
 * @throws Error when the data is not that of the cell, or its own network is not in the directory
 */
export async function contextOf(
  job: JobInputs,
  config: Cell["config"],
  directory: RunDirectory,
): Promise<CellContext> {
  const { dataset, model } = config;
  if (model.checksum !== undefined) await loadOwnNetwork(directory.path, model.checksum);
  const context: CellContext = {
    engine: await loadEngine(job.engine, job.lowering, job.threads),
    dataset: await datasetFor(job, config),
    directory,
    onProgress: throttledProgress(),
    onNote: (text) => {
      send({ type: "note", text });
    },
  };
  if (context.dataset.checksum !== dataset.checksum) {
    throw new Error(`the files of data set "${dataset.name}" changed while the run was going on`);
  }
  return context;
}

let loaded: { readonly key: string; readonly dataset: Dataset } | undefined;

/** The data set of the job before, if it is the same. */
async function datasetFor(
  { dataset: reference, dataDirectory }: JobInputs,
  { model, hyperparameters }: Cell["config"],
): Promise<Dataset> {
  const key = JSON.stringify([reference, dataDirectory, model.checksum, hyperparameters]);
  if (loaded?.key !== key) {
    const dataset = await loadDataset(reference, dataDirectory, hyperparameters);
    loaded = { key, dataset: withClasses(dataset, model) };
  }
  return loaded.dataset;
}
