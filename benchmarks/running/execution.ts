import { rm } from "node:fs/promises";
import lockfile from "proper-lockfile";
import { stringify } from "yaml";
import { familyOf } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import type { CellResult, Run } from "../../results/schema.js";
import { RunDirectory } from "../../results/store.js";
import { searchName, stageKeys, unfinishedNames } from "../cell/index.js";
import { describeEnvironment } from "./environment.js";
import { mostInformativeFirst, type Cell } from "../planning/index.js";
import { storeOwnNetwork } from "../inputs/index.js";
import { runPending } from "./pending.js";
import { finishedCells, type Plan, type RunOptions } from "./run.js";

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
    await writeDescription(directory, plan, options);
    if (options.force) await forgetStages(directory, plan.cells);
    const finished = options.force
      ? new Map<string, CellResult>()
      : await finishedCells(options.out);
    const missing = plan.cells.filter(({ id }) => !finished.has(id));
    const pending = options.seconds === undefined ? missing : mostInformativeFirst(missing);
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

/** What a run directory says of itself before it has results, and the networks that it needs. */
export async function writeDescription(
  directory: RunDirectory,
  plan: Plan,
  options: RunOptions,
): Promise<void> {
  await directory.writeEnvironment(await describeEnvironment());
  await directory.writeRun(describeRun(plan, options));
  await directory.writeMatrix(matrixText(plan.matrix));
  for (const own of plan.ownNetworks) await storeOwnNetwork(directory.path, own);
}

/** A forced run starts from scratch: what the cells would find half done is removed. */
async function forgetStages(directory: RunDirectory, cells: readonly Cell[]): Promise<void> {
  for (const cell of cells) {
    for (const key of stageKeys(cell)) {
      await rm(directory.stageFile(key), { force: true });
      for (const name of Object.values(unfinishedNames(key)))
        await rm(directory.unfinishedStageFile(name), { force: true });
    }
    await rm(directory.unfinishedStageFile(searchName(cell)), { force: true });
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
    families: Object.fromEntries(
      used(algorithms, "algorithm").map((algorithm) => [algorithm.name, familyOf(algorithm)]),
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
