import { join, relative } from "node:path";
import { renderReport } from "../../reports/report.js";
import type { ReportInput } from "../../reports/reportInput.js";
import type { CellResult, Environment, Run } from "../../results/schema.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import type { RunDirectory } from "../../results/store.js";

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
      ...(margins && { margins }),
      directory: path.startsWith("..") ? directory.path : path,
    }),
  );
  return { ...stored, file: join(directory.report, "index.html") };
}
