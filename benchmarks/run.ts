import { access, rm } from "node:fs/promises";
import os from "node:os";
import lockfile from "proper-lockfile";
import { algorithms } from "../algorithms/index.js";
import { backends } from "../backends/index.js";
import type { Dataset } from "../pipelines/data.js";
import { loadEngine, type EngineName } from "../pipelines/engine/index.js";
import type { CellResult, Run } from "../results/schema.js";
import { cellName, RunDirectory } from "../results/store.js";
import { describeEnvironment } from "./environment.js";
import { stageKeys } from "./cell.js";
import { loadMatrix, type Matrix } from "./matrix.js";
import {
  cellCost,
  loadDataset,
  planCells,
  pretrainCost,
  SECONDS_PER_COST,
  type Cell,
} from "./plan.js";
import { describeTotals, ProgressDisplay, type RunningCell } from "./progress.js";
import { runJobs, type ScheduledJob } from "./scheduler.js";

export interface RunOptions {
  /** A preset's name or a matrix file. */
  readonly matrix: string;
  readonly out: string;
  readonly jobs: number;
  /** Only cells whose property is one of the values: algorithm, backend, model, bits, seed. */
  readonly only: Readonly<Record<string, readonly string[]>>;
  readonly seeds?: number;
  readonly engine: EngineName | "auto";
  readonly dataDirectory?: string;
  /** Run finished cells again. */
  readonly force: boolean;
  readonly hangSeconds: number;
  /** What the user typed, for the report. */
  readonly command: string;
}

export interface Plan {
  readonly matrix: Matrix;
  readonly dataset: Dataset;
  readonly engine: EngineName;
  readonly dataDirectory: string;
  /** The cells that were asked for. */
  readonly cells: readonly Cell[];
  /** Every cell of the matrix: what the report is about. */
  readonly allCells: readonly Cell[];
}

export const DEFAULT_JOBS = os.availableParallelism();

export async function makePlan(options: RunOptions): Promise<Plan> {
  const loaded = await loadMatrix(options.matrix);
  const matrix = { ...loaded, ...(options.seeds !== undefined && { seeds: options.seeds }) };
  const dataDirectory =
    options.dataDirectory ?? matrix.dataDirectory ?? process.env["QUANTBENCH_DATA"] ?? "data";
  const engine = await loadEngine(options.engine);
  const dataset = await loadDataset(matrix.dataset, dataDirectory, matrix.hyperparameters);
  const allCells = planCells(matrix, dataset, engine);
  const cells = filterCells(allCells, options.only);
  return { matrix, dataset, engine: engine.name, dataDirectory, cells, allCells };
}

const properties: Readonly<Record<string, (cell: Cell) => string>> = {
  algorithm: ({ config }) => config.algorithm.name,
  backend: ({ config }) => config.backend.name,
  model: ({ config }) => config.model.name,
  bits: ({ config }) => `w${String(config.bits.weights)}a${String(config.bits.activations)}`,
  seed: ({ config }) => String(config.seed),
};
export const CELL_PROPERTIES = Object.keys(properties);

function filterCells(cells: readonly Cell[], only: RunOptions["only"]): Cell[] {
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
        `--only ${property}=${unknown}: the matrix has no such cell; it has ${[...existing].join(", ")}`,
      );
    }
    chosen = chosen.filter((cell) => values.includes(read(cell)));
  }
  if (chosen.length === 0) throw new Error("--only leaves no cell to run");
  return chosen;
}

/** Finished cells of a run directory; none where there is no such directory. */
export async function finishedCells(path: string): Promise<Map<string, CellResult>> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return new Map();
  const directory = new RunDirectory(path);
  await directory.create();
  const results = await directory.readCells();
  // What failed may work next time; everything else is an answer.
  return new Map([...results].filter(([, { state }]) => state !== "failed"));
}

/** Float trainings first, then groups of cells that share a quantized training. */
export function makeJobs(
  plan: Plan,
  pending: readonly Cell[],
  runDirectory: string,
): ScheduledJob[] {
  const { engine, dataDirectory } = plan;
  const common = { engine, runDirectory, dataDirectory };
  const pretrains = new Map<string, ScheduledJob>();
  const groups = new Map<string, Cell[]>();
  for (const cell of pending) {
    if (cell.unsupported === undefined && !pretrains.has(cell.pretrainKey)) {
      const job = { id: cell.pretrainKey, kind: "pretrain" as const, cells: [cell], ...common };
      pretrains.set(cell.pretrainKey, job);
    }
    const group = groups.get(cell.trainingKey) ?? [];
    groups.set(cell.trainingKey, [...group, cell]);
  }
  const cellJobs = [...groups].map(([trainingKey, cells]): ScheduledJob => {
    const needed = cells.find(({ unsupported }) => unsupported === undefined);
    return {
      id: trainingKey,
      kind: "cells",
      cells,
      ...common,
      ...(needed !== undefined && { after: needed.pretrainKey }),
    };
  });
  // Long jobs first, so that no core idles at the end.
  const byCost = cellJobs.toSorted((a, b) => jobCost(plan, b) - jobCost(plan, a));
  return [...pretrains.values(), ...byCost];
}

export function jobCost({ dataset }: Plan, { kind, cells }: ScheduledJob): number {
  const [first] = cells;
  if (first === undefined) return 0;
  return kind === "pretrain"
    ? pretrainCost(first.config, dataset)
    : cellCost(first.config, dataset) * cells.length;
}

/** Seconds that jobs take on so many processes, by the rate measured so far. */
export function estimateSeconds(
  costs: readonly number[],
  parallel: number,
  secondsPerCost = SECONDS_PER_COST,
): number {
  const total = costs.reduce((a, b) => a + b, 0);
  return (total / Math.max(1, Math.min(parallel, costs.length))) * secondsPerCost;
}

/**
 * Runs a plan's unfinished cells and writes results, tables and environment.
 *
 * @returns every stored result of the matrix, in its order
 * @throws Error when another process works in the directory, or when interrupted
 */
export async function executePlan(
  plan: Plan,
  options: RunOptions,
  signal: AbortSignal,
): Promise<CellResult[]> {
  const directory = new RunDirectory(options.out);
  await directory.create();
  const release = await lock(options.out);
  try {
    await directory.writeEnvironment(await describeEnvironment());
    await directory.writeRun(describeRun(plan, options));
    if (options.force) await forgetStages(directory, plan.cells);
    const finished = options.force
      ? new Map<string, CellResult>()
      : await finishedCells(options.out);
    const pending = plan.cells.filter(({ id }) => !finished.has(id));
    await runPending(plan, pending, { directory, options, signal });
    if (signal.aborted) throw new Error("interrupted; run the same command again to go on");
    const stored = await directory.readCells();
    const results = plan.allCells.flatMap(({ id }) => stored.get(id) ?? []);
    await directory.writeTables(results);
    return results;
  } finally {
    await release();
  }
}

/** A forced run starts from scratch: what the cells would find half done is removed. */
async function forgetStages(directory: RunDirectory, cells: readonly Cell[]): Promise<void> {
  for (const cell of cells) {
    for (const key of stageKeys(cell)) await rm(directory.stageFile(key), { force: true });
  }
}

const LOCK_STALE_MS = 5000;

/** Two runs in one directory would do everything twice; a killed run's lock expires by itself. */
async function lock(path: string): Promise<() => Promise<void>> {
  const retries = { retries: 8, minTimeout: 1000, maxTimeout: 1000 };
  try {
    return await lockfile.lock(path, {
      stale: LOCK_STALE_MS,
      update: 1000,
      retries,
      // A machine that slept lets its lock expire; that is no reason to lose the run.
      onCompromised: ({ message }) => {
        process.stderr.write(
          `the lock of ${path} was lost (${message}); do not start a second run\n`,
        );
      },
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ELOCKED") throw error;
    throw new Error(`another quantbench process works in ${path}; wait for it, or choose --out`, {
      cause: error,
    });
  }
}

function describeRun({ matrix, allCells: cells }: Plan, { command }: RunOptions): Run {
  const used = <T extends { readonly name: string }>(
    entries: readonly T[],
    kind: "algorithm" | "backend",
  ) => entries.filter(({ name }) => cells.some(({ config }) => config[kind].name === name));
  return {
    name: matrix.name,
    title: matrix.title,
    command,
    deviations: Object.fromEntries(
      used(algorithms, "algorithm").map(({ name, deviations }) => [name, [...deviations]]),
    ),
    notes: Object.fromEntries(
      used(backends, "backend").map(({ name, notes }) => [name, [...notes]]),
    ),
    cells: cells.map(({ id }) => id),
  };
}

interface Execution {
  readonly directory: RunDirectory;
  readonly options: RunOptions;
  readonly signal: AbortSignal;
}

async function runPending(
  plan: Plan,
  pending: readonly Cell[],
  execution: Execution,
): Promise<void> {
  const { directory, options, signal } = execution;
  const jobs = makeJobs(plan, pending, options.out);
  const display = new ProgressDisplay();
  const running = new Map<string, RunningCell>();
  const written = new Set<string>();
  const started = new Map<string, number>();
  const left = new Map(jobs.map((job) => [job.id, jobCost(plan, job)]));
  let measured = { seconds: 0, cost: 0 };
  let failed = 0;
  const totals = () => {
    const rate = measured.cost > 0 ? measured.seconds / measured.cost : SECONDS_PER_COST;
    return {
      done: plan.cells.length - pending.length + written.size,
      total: plan.cells.length,
      failed,
      secondsLeft: estimateSeconds([...left.values()], options.jobs, rate),
    };
  };
  const reused = plan.cells.length - pending.length;
  if (reused > 0)
    display.line(`${String(reused)} of ${String(plan.cells.length)} cells are finished already`);

  await runJobs(
    jobs,
    {
      onStart(job) {
        started.set(job.id, performance.now());
        running.set(job.id, { label: labelOf(job), stage: "starting" });
        display.status(totals(), running.values());
      },
      onProgress(job, { stage, step, steps, loss }) {
        running.set(job.id, {
          label: labelOf(job),
          stage,
          ...(step !== undefined && { step }),
          ...(steps !== undefined && { steps }),
          ...(loss !== undefined && { loss }),
        });
        if (step !== undefined && steps !== undefined) {
          left.set(job.id, Math.max(0.2, 1 - step / steps) * jobCost(plan, job));
        }
        display.status(totals(), running.values());
      },
      onCell(job, cellId, state) {
        written.add(cellId);
        const cell = job.cells.find(({ id }) => id === cellId);
        display.line(`${describeTotals(totals())} ${cell ? cellName(cell) : cellId}: ${state}`);
      },
      async onEnd(job, failure) {
        running.delete(job.id);
        left.delete(job.id);
        const seconds = (performance.now() - (started.get(job.id) ?? NaN)) / 1000;
        if (failure === undefined) {
          measured = {
            seconds: measured.seconds + seconds,
            cost: measured.cost + jobCost(plan, job),
          };
          if (job.kind === "pretrain")
            display.line(`${describeTotals(totals())} ${labelOf(job)}: done`);
          return;
        }
        if (job.kind === "pretrain") return; // the cells that wait for it fail with its reason
        for (const cell of job.cells.filter(({ id }) => !written.has(id))) {
          failed += 1;
          written.add(cell.id);
          await directory.writeCell({
            id: cell.id,
            config: cell.config,
            state: "failed",
            reason: failure,
          });
          display.line(`${describeTotals(totals())} ${cellName(cell)}: failed: ${failure}`);
        }
      },
    },
    { parallel: options.jobs, silenceMs: options.hangSeconds * 1000, signal },
  );
  display.end();
}

function labelOf({ kind, cells }: ScheduledJob): string {
  const [first] = cells;
  if (first === undefined) return kind;
  const { model, algorithm, backend, bits, seed } = first.config;
  const base = `${model.name}-w${String(model.width)}`;
  if (kind === "pretrain") return `${base} seed ${String(seed)} in float`;
  return `${base} ${algorithm.name} ${backend.name} w${String(bits.weights)}a${String(bits.activations)}`;
}
