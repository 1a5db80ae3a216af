import os from "node:os";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import { loadEngine, type EngineName, type LoweringChoice } from "../../pipelines/engine/index.js";
import type { CellResult } from "../../results/schema.js";
import { RunDirectory } from "../../results/store.js";
import { stageKeys } from "../cell/index.js";
import {
  type Cell,
  cellsOfShard,
  loadMatrix,
  type Matrix,
  planCells,
  pretrainCost,
  type Shard,
  withTried,
} from "../planning/index.js";
import { Forecast } from "./forecast.js";
import { costIn } from "./jobProgress.js";
import type { ProgressMode } from "./progress.js";
import {
  loadDataset,
  type OwnData,
  type OwnNetwork,
  readOwnNetwork,
  withClasses,
} from "../inputs/index.js";
import { notesOn } from "./notes.js";
import type { ScheduledJob } from "./scheduler.js";

export interface RunOptions {
  /** A preset's name or a matrix file. */
  readonly matrix: string;
  /** An algorithm or backend that is added to the matrix. */
  readonly tried?: string;
  readonly out: string;
  readonly jobs: number;
  /** Only cells whose property is one of the values: algorithm, backend, model, bits, seed. */
  readonly only: Readonly<Record<string, readonly string[]>>;
  readonly seeds?: number;
  /** Only one part of the cells; the others run elsewhere. */
  readonly shard?: Shard;
  /** "auto" is the matrix's. */
  readonly engine: EngineName | "auto";
  readonly lowering: LoweringChoice;
  readonly dataDirectory?: string;
  /** An ONNX file instead of the matrix's models, and with it images instead of its data set. */
  readonly ownModel?: { readonly file: string; readonly output?: string };
  readonly ownData?: OwnData;
  /** Time to run cells in; those that tell most come first, and what does not fit is left out. */
  readonly seconds?: number;
  /** Run finished cells again. */
  readonly force: boolean;
  readonly hangSeconds: number;
  readonly progress: ProgressMode;
  /** What the user typed, for the report. */
  readonly command: string;
}

export interface Plan {
  readonly matrix: Matrix;
  readonly dataset: Dataset;
  readonly ownNetworks: readonly OwnNetwork[];
  /** What whoever runs it should know of own networks and images. */
  readonly notes: readonly string[];
  readonly engine: EngineName;
  readonly lowering: LoweringChoice;
  readonly dataDirectory: string;
  /** The cells that were asked for. */
  readonly cells: readonly Cell[];
  /** Every cell of the matrix: what the report is about. */
  readonly allCells: readonly Cell[];
}

export const DEFAULT_JOBS = os.availableParallelism();

/** @param load how the data set is loaded; `loadOrDeclare` for a plan that is not run */
export async function makePlan(options: RunOptions, load = loadDataset): Promise<Plan> {
  const named = await loadMatrix(options.matrix);
  const loaded = options.tried === undefined ? named : withTried(named, options.tried);
  const { seeds, ownModel, ownData } = options;
  const matrix: Matrix = {
    ...loaded,
    ...(seeds !== undefined && { seeds }),
    ...(options.engine !== "auto" && { engine: options.engine }),
    ...(ownData !== undefined && { dataset: ownData }),
    ...(ownModel !== undefined && { models: [ownModel] }),
  };
  const dataDirectory =
    options.dataDirectory ?? matrix.dataDirectory ?? process.env["QUANTBENCH_DATA"] ?? "data";
  const engine = await loadEngine(matrix.engine ?? "auto", options.lowering);
  const images = await load(matrix.dataset, dataDirectory, matrix.hyperparameters);
  const own = new Map<string, OwnNetwork>();
  for (const model of matrix.models)
    if ("file" in model)
      own.set(model.file, await readOwnNetwork(model.file, images.shape, model.output));
  // One matrix has one number of classes; where own networks differ, the first mismatch is told.
  const dataset = [...own.values()].reduce((sum, { checksum, name }) => {
    return withClasses(sum, { name, version: 1, width: 1, checksum });
  }, images);
  const allCells = await planCells(matrix, dataset, engine, own);
  const filtered = filterCells(allCells, options.only);
  const { shard } = options;
  const cells = shard === undefined ? filtered : cellsOfShard(filtered, dataset, shard);
  return {
    matrix,
    dataset,
    ownNetworks: [...own.values()],
    notes: notesOn(matrix, [...own.values()], images),
    engine: engine.name,
    lowering: options.lowering,
    dataDirectory,
    cells,
    allCells,
  };
}

const properties: Readonly<Record<string, (cell: Pick<Cell, "config">) => string>> = {
  algorithm: ({ config }) => config.algorithm.name,
  backend: ({ config }) => config.backend.name,
  model: ({ config }) => config.model.name,
  bits: ({ config }) => `w${String(config.bits.weights)}a${String(config.bits.activations)}`,
  seed: ({ config }) => String(config.seed),
};
export const CELL_PROPERTIES = Object.keys(properties);

/** @throws Error listing what is there when a property or a value is not */
export function filterCells<T extends Pick<Cell, "config">>(
  cells: readonly T[],
  only: RunOptions["only"],
): T[] {
  let chosen = [...cells];
  for (const [property, values] of Object.entries(only)) {
    const read = properties[property];
    if (read === undefined) {
      throw new Error(`--only ${property}=...: choose by ${CELL_PROPERTIES.join(", ")}`);
    }
    const existing = new Set(cells.map(read));
    const unknown = values.find((value) => !existing.has(value));
    if (unknown !== undefined) {
      throw new Error(
        `--only ${property}=${unknown}: there is no such cell; there are ${[...existing].join(", ")}${hintFor(unknown)}`,
      );
    }
    chosen = chosen.filter((cell) => values.includes(read(cell)));
  }
  if (chosen.length === 0)
    throw new Error(cells.length === 0 ? "there are no cells yet" : "--only leaves no cell");
  return chosen;
}

/** What exists, but is not in the matrix. */
const hintFor = (name: string): string =>
  [...algorithms, ...backends].some((entry) => entry.name === name)
    ? `; the matrix does not name it, but quantbench try ${name} runs it`
    : "";

/** Finished cells of a run directory; none where there is no such directory. */
export async function finishedCells(path: string): Promise<Map<string, CellResult>> {
  const results = await new RunDirectory(path).readCells();
  // What failed may work next time; everything else is an answer.
  return new Map([...results].filter(([, { state }]) => state !== "failed"));
}

/**
 * Float trainings that are not stored yet, then groups of cells that share a quantized training or a search.
 */
export function makeJobs(
  plan: Plan,
  pending: readonly Cell[],
  runDirectory: string,
  { stages = new Set<string>(), parallel = 1, inGivenOrder = false }: JobOptions = {},
): ScheduledJob[] {
  const { engine, lowering, dataDirectory, matrix } = plan;
  const { dataset } = matrix;
  const common = { engine, lowering, threads: 1, runDirectory, dataset, dataDirectory };
  const pretrains = new Map<string, ScheduledJob>();
  const groups = new Map<string, Cell[]>();
  for (const cell of pending) {
    const isTrained = stages.has(stageKeys(cell)[0]);
    if (cell.unsupported === undefined && !isTrained && !pretrains.has(cell.pretrainKey)) {
      const job = { id: cell.pretrainKey, kind: "pretrain" as const, cells: [cell], ...common };
      pretrains.set(cell.pretrainKey, job);
    }
    const shared = cell.searchKey ?? cell.trainingKey;
    groups.set(shared, [...(groups.get(shared) ?? []), cell]);
  }
  const cellJobs = [...groups].map(([id, cells]): ScheduledJob => {
    const needed = cells.find(({ unsupported }) => unsupported === undefined);
    return {
      id,
      kind: "cells",
      cells,
      ...common,
      ...(needed !== undefined &&
        pretrains.has(needed.pretrainKey) && { after: needed.pretrainKey }),
    };
  });
  if (inGivenOrder) return withPredecessors(cellJobs, pretrains);
  // Long jobs first, so that no core idles at the end.
  const byCost = cellJobs.toSorted((a, b) => jobCost(plan, b) - jobCost(plan, a));
  // While all wait for a few float trainings, those may have the cores that would idle.
  const allWait = cellJobs.every(({ after, cells }) => after !== undefined || isQuick(cells));
  const threads = allWait ? Math.max(1, Math.floor(parallel / Math.max(1, pretrains.size))) : 1;
  return [...[...pretrains.values()].map((job) => ({ ...job, threads })), ...byCost];
}

/** Jobs in their order, each float training before the first that waits for it. */
function withPredecessors(
  jobs: readonly ScheduledJob[],
  pretrains: ReadonlyMap<string, ScheduledJob>,
): ScheduledJob[] {
  const placed = new Set<string>();
  return jobs.flatMap((job) => {
    const needed = job.after === undefined ? undefined : pretrains.get(job.after);
    if (needed === undefined || placed.has(needed.id)) return [job];
    placed.add(needed.id);
    return [needed, job];
  });
}

/** Cells that are not run but only recorded take no core. */
const isQuick = (cells: readonly Cell[]): boolean =>
  cells.every(({ unsupported }) => unsupported !== undefined);

interface JobOptions {
  /** Names of stored stages. */
  readonly stages?: ReadonlySet<string>;
  /** Processes at a time. */
  readonly parallel?: number;
  /** Keep the order of the cells, instead of the longest jobs first. */
  readonly inGivenOrder?: boolean;
}

export function jobCost({ dataset }: Plan, { kind, cells }: ScheduledJob): number {
  const [first] = cells;
  if (first === undefined) return 0;
  return kind === "pretrain"
    ? pretrainCost(first.config, dataset)
    : sum(cells.map((cell) => costIn({ cells }, cell)));
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Seconds that jobs take on so many processes, before anything was measured. */
export function estimateSeconds(
  plan: Plan,
  jobs: readonly ScheduledJob[],
  parallel: number,
): number {
  const costed = jobs.map((job) => ({ ...job, cost: jobCost(plan, job) }));
  return new Forecast(costed, parallel).secondsLeft();
}
