import { rm } from "node:fs/promises";
import lockfile from "proper-lockfile";
import { stringify } from "yaml";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import type { CellResult, Run } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { stageKeys } from "../cell/index.js";
import { describeEnvironment } from "./environment.js";
import { SECONDS_PER_COST, type Cell } from "../planning/index.js";
import { storeOwnNetwork } from "../inputs/index.js";
import { ProgressDisplay, type RunningCell } from "./progress.js";
import {
  estimateSeconds,
  finishedCells,
  jobCost,
  makeJobs,
  type Plan,
  type RunOptions,
} from "./run.js";
import { runJobs, type ScheduledJob } from "./scheduler.js";

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
    await directory.writeMatrix(matrixText(plan.matrix));
    for (const own of plan.ownNetworks) await storeOwnNetwork(options.out, own);
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
    ...(typeof matrix.dataset === "object" && { ownData: matrix.dataset }),
  };
}

/** The matrix as it is run, with what the command line changed. */
function matrixText({ name, ...matrix }: Plan["matrix"]): string {
  return `# quantbench run: ${name}\n${stringify(matrix)}`;
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
  const jobs = makeJobs(plan, pending, options.out, {
    stages: await directory.stages(),
    parallel: options.jobs,
  });
  const display = new ProgressDisplay(options.progress);
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
    display.note(`${String(reused)} of ${String(plan.cells.length)} cells are finished already`);

  await runJobs(
    jobs,
    {
      onStart(job) {
        started.set(job.id, performance.now());
        running.set(job.id, { label: labelOf(job), stage: "starting" });
        display.status(totals(), running.values());
      },
      onProgress(job, { type: _, ...progress }) {
        running.set(job.id, { label: labelOf(job), ...progress });
        const { step, steps } = progress;
        if (step !== undefined && steps !== undefined) {
          left.set(job.id, Math.max(0.2, 1 - step / steps) * jobCost(plan, job));
        }
        display.status(totals(), running.values());
      },
      onCell(job, cellId, state) {
        written.add(cellId);
        const cell = job.cells.find(({ id }) => id === cellId);
        display.cell(totals(), cell ? cellName(cell) : cellId, state);
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
          if (job.kind === "pretrain") display.pretrained(totals(), labelOf(job));
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
          display.cell(totals(), cellName(cell), "failed", failure);
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
