import { open, rename, rm } from "node:fs/promises";

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
  const temporary = `${path}.${String(process.pid)}-${String(writes++)}.tmp`;
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
