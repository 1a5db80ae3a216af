import { constants, existsSync } from "node:fs";
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { groupBy, questionOf } from "../../reports/cells.js";
import { configurationDifferences } from "../../reports/configuration.js";
import type { CellResult, Environment, Run } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { readStoredRun, type StoredRun } from "./storedRun.js";

/** Folders whose files are named after what they hold, so that those of several runs fit together. */
const COPIED = ["models", "networks", "stages"] as const;

export interface Merged {
  readonly cells: number;
  /** Cells that more than one run has, with the same numbers. */
  readonly shared: number;
  /** What was different where the runs were made; each is kept with its cells. */
  readonly environments: readonly string[];
}

/**
 * Puts runs together that have different cells of the same comparison: other seeds, networks or
 * algorithms, computed one after the other or on several machines.
 *
 * @param target a directory that holds no run yet
 * @throws Error naming cells that two runs have with different numbers, or settings of data and
 *   training in which runs differ: those are different comparisons
 */
export async function mergeRuns(paths: readonly string[], target: string): Promise<Merged> {
  if (existsSync(join(target, "run.json")))
    throw new Error(`${target} holds a run already; choose another --out`);
  const runs = await Promise.all(
    paths.map(async (path) => ({ path, ...(await readStoredRun(new RunDirectory(path))) })),
  );
  const [first] = runs;
  if (first === undefined) throw new Error("there is no run to merge");
  refuseOtherRecipes(runs);
  const { results, shared, from } = unite(runs);
  const directory = new RunDirectory(target);
  await directory.create();
  for (const result of results.values()) await directory.writeCell(result);
  for (const { path } of runs) await copyFiles(path, target);
  await directory.writeEnvironment(first.environment);
  const matrices = new Set(
    await Promise.all(paths.map((path) => new RunDirectory(path).readMatrix())),
  );
  const [matrix] = matrices;
  if (matrices.size === 1 && matrix !== undefined) await directory.writeMatrix(matrix);
  await directory.writeRun({
    ...unitedRun(runs.map(({ run }) => run)),
    parts: partsOf(runs, (id) => from.get(id)),
  });
  return { cells: results.size, shared, environments: environmentDifferences(runs) };
}

type ReadRun = StoredRun & { readonly path: string };

/** Cells that answer the same question must have been made by the same data and training. */
function refuseOtherRecipes(runs: readonly ReadRun[]): void {
  const asked = new Map<string, { readonly path: string; readonly cell: CellResult }>();
  for (const { path, results } of runs)
    for (const cell of results) {
      const question = JSON.stringify([questionOf(cell), cell.config.variant]);
      const known = asked.get(question) ?? { path, cell };
      asked.set(question, known);
      if (known.path === path) continue;
      const [difference] = configurationDifferences([[known.cell, cell]]).filter(
        ({ name, recipe }) => recipe && !name.includes("quantizer weight decay"),
      );
      if (difference !== undefined)
        throw new Error(
          `${known.path} and ${path} are different comparisons: ${difference.name} is ${difference.first} and ${difference.second}`,
        );
    }
}

/** Every result by id; what completed anywhere counts, not what failed elsewhere. */
function unite(runs: readonly ReadRun[]) {
  const results = new Map<string, CellResult>();
  const from = new Map<string, string>();
  let shared = 0;
  for (const { path, results: own } of runs)
    for (const cell of own) {
      const known = results.get(cell.id);
      if (known === undefined || known.state === "failed") {
        results.set(cell.id, cell);
        from.set(cell.id, path);
      } else if (cell.state !== "failed") {
        if (numbersOf(known) !== numbersOf(cell))
          throw new Error(
            `${from.get(cell.id) ?? ""} and ${path} have different numbers for ${cellName(cell)}; quantbench verify finds out which is right`,
          );
        shared += 1;
      }
    }
  return { results, shared, from };
}

/** Each environment with the cells that were computed there. */
function partsOf(
  runs: readonly ReadRun[],
  pathOf: (id: string) => string | undefined,
): NonNullable<Run["parts"]> {
  const parts = runs.flatMap(({ path, run, environment, results }) => {
    const own = new Set(results.map(({ id }) => id).filter((id) => pathOf(id) === path));
    const known = run.parts ?? [{ environment, cells: [...own] }];
    return known.map((part) => ({ ...part, cells: part.cells.filter((id) => own.has(id)) }));
  });
  const byEnvironment = groupBy(parts, ({ environment }) => JSON.stringify(environment));
  return [...byEnvironment.values()].flatMap((group) =>
    group.slice(0, 1).map(({ environment }) => ({
      environment,
      cells: group.flatMap(({ cells }) => cells),
    })),
  );
}

/** What must be the same wherever a cell is computed. */
function numbersOf(cell: CellResult): string {
  return cell.state === "completed"
    ? JSON.stringify([cell.weightHash, cell.accuracy, cell.losses])
    : JSON.stringify([cell.state, cell.reason]);
}

function unitedRun(runs: readonly Run[]): Run {
  const [first, ...others] = runs;
  if (first === undefined) throw new Error("there is no run to merge");
  const all = <T>(of: (run: Run) => Readonly<Record<string, T>>): Record<string, T> =>
    Object.assign({}, ...runs.toReversed().map(of)) as Record<string, T>;
  const commands = [...new Set(runs.map(({ command }) => command))];
  return {
    ...first,
    title: [...new Set(runs.map(({ title }) => title))].join(" + "),
    command: commands.length === 1 ? first.command : commands.join("; "),
    deviations: all(({ deviations }) => deviations),
    ...(runs.some(({ families }) => families) && {
      families: all(({ families = {} }) => families),
    }),
    notes: all(({ notes }) => notes),
    cells: [...new Set([first, ...others].flatMap(({ cells }) => cells))],
  };
}

async function copyFiles(from: string, to: string): Promise<void> {
  for (const folder of COPIED) {
    const files = existsSync(join(from, folder)) ? await readdir(join(from, folder)) : [];
    const whole = files.filter((file) => /\.(?:onnx|safetensors)$/.test(file));
    if (whole.length > 0) await makeDirectory(join(to, folder));
    for (const file of whole)
      await copyFile(join(from, folder, file), join(to, folder, file), constants.COPYFILE_FICLONE);
  }
}

function environmentDifferences(runs: readonly ReadRun[]): string[] {
  const [first, ...others] = runs;
  if (first === undefined) return [];
  const keys = Object.keys(first.environment) as (keyof Environment)[];
  return others.flatMap(({ path, environment }) =>
    keys.flatMap((key) => {
      const [a, b] = [JSON.stringify(first.environment[key]), JSON.stringify(environment[key])];
      return a === b ? [] : [`${key}: ${a} in ${first.path}, ${b} in ${path}`];
    }),
  );
}
