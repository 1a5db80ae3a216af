import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a directory and those above it that are missing.
 *
 * Node's recursive mkdir never returns where the system says that a parent is missing although it is
 * there, as Linux does under /proc: each directory is made once here, and what fails has failed.
 *
 * @throws Error naming the directory that cannot be made
 */
export async function makeDirectory(path: string): Promise<void> {
  const entry = await stat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
  if (entry?.isDirectory()) return;
  if (entry !== undefined) throw new Error(`${path} is there already, and no directory`);
  if (dirname(path) !== path) await makeDirectory(dirname(path));
  await mkdir(path).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    // Another process may have been faster.
    if (code !== "EEXIST")
      throw new Error(`cannot make the directory ${path}: ${message}`, { cause: error });
  });
}
