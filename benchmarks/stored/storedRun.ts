import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { renderReport } from "../../reports/report.js";
import type { MeasuredSensitivity, ReportInput } from "../../reports/reportInput.js";
import type { CellResult, Environment, Run } from "../../results/schema.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { unsealed } from "../../results/sealedJson.js";
import { cellName, type RunDirectory } from "../../results/store.js";
import type { SensitivityReport } from "./sensitivityOf.js";
import { shownSensitivity } from "./sensitivityText.js";

/** A run as it lies in its directory. */
export interface StoredRun {
  readonly run: Run;
  readonly environment: Environment;
  /** Results of the run's cells, in its order. */
  readonly results: readonly CellResult[];
}

/** @throws Error naming the file when one is missing or not valid */
export async function readStoredRun(directory: RunDirectory): Promise<StoredRun> {
  const [run, environment] = [directory.readRun(), directory.readEnvironment()];
  const stored = await directory.readCells();
  return { run, environment, results: run.cells.flatMap((id) => stored.get(id) ?? []) };
}

/**
 * Writes a run's results, tables and environment into a directory where they stay small.
 *
 * @returns how many cells there are
 */
export async function packRun(from: RunDirectory, to: RunDirectory): Promise<number> {
  const { run, environment, results } = await readStoredRun(from);
  const matrix = await from.readMatrix();
  await makeDirectory(to.path);
  await to.writePacked(results);
  await to.writeRun(run);
  await to.writeEnvironment(environment);
  if (matrix !== undefined) await to.writeMatrix(matrix);
  await to.writeTables(results);
  return results.length;
}

/** Where a run keeps the sensitivities of a cell; JSON and a picture have their endings behind it. */
export const sensitivityFile = (directory: RunDirectory, cell: CellResult): string =>
  join(directory.path, "sensitivity", cellName(cell));

/** What `quantbench sensitivity` left in the run, by the names of its cells. */
async function measuredSensitivities(
  directory: RunDirectory,
  results: readonly CellResult[],
): Promise<ReadonlyMap<string, MeasuredSensitivity>> {
  const found = new Map<string, MeasuredSensitivity>();
  for (const cell of results) {
    const file = `${sensitivityFile(directory, cell)}.json`;
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    try {
      found.set(cellName(cell), shownSensitivity(unsealed(file, text) as SensitivityReport));
    } catch (error) {
      throw new Error(
        `${file} holds no sensitivities (${(error as Error).message}); delete it, or measure them again`,
        { cause: error },
      );
    }
  }
  return found;
}

/**
 * Writes tables and report of a run's stored results.
 *
 * @param margins what the report decides by, if not by the usual ones
 */
export async function writeReport(
  directory: RunDirectory,
  margins?: ReportInput["margins"],
): Promise<StoredRun & { /** Path of the report. */ readonly file: string }> {
  const stored = await readStoredRun(directory);
  await directory.writeTables(stored.results);
  const path = relative("", directory.path) || ".";
  await directory.writeReport(
    renderReport({
      ...stored,
      files: await directory.linkedFiles(),
      sensitivities: await measuredSensitivities(directory, stored.results),
      ...(margins && { margins }),
      directory: path.startsWith("..") ? directory.path : path,
    }),
  );
  return { ...stored, file: join(directory.report, "index.html") };
}
