import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CompletedCell } from "../../results/schema.js";
import { sealed, unsealed } from "../../results/sealedJson.js";

/** The table of a run. */
export const csv = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");

/** Names of a run's stored results; none where there are none yet. */
export async function cellFiles(directory: string): Promise<string[]> {
  const files = await readdir(join(directory, "cells")).catch(() => []);
  return files.filter((file) => file.endsWith(".json"));
}

/** Changes a stored result, and seals it as if it had been computed so. */
export async function changeCell(
  path: string,
  change: (cell: CompletedCell) => void,
): Promise<void> {
  const cell = unsealed(path, await readFile(path, "utf8")) as CompletedCell;
  change(cell);
  await writeFile(path, sealed(cell));
}
