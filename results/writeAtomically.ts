import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const TEMPORARY = ".tmp";
/** No write takes so long: whoever began it has been killed. */
const ABANDONED_MS = 3_600_000;
let writes = 0;

/**
 * Writes a file so that it appears whole or not at all, whatever ends the process or fills the
 * disk: to a temporary name beside it, flushed, then renamed.
 *
 * The package write-file-atomic does not do: it makes one write call, and on a disk that runs
 * full a short write then becomes the file.
 *
 * @throws Error naming the file when it cannot be written
 */
export async function writeAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${String(process.pid)}-${String(writes++)}${TEMPORARY}`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new Error(`cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Removes what killed processes had begun to write into a folder; what others write now stays. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(TEMPORARY)) continue;
    const path = join(folder, name);
    // Another process may be faster.
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }
}
