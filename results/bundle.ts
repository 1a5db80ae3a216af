import { createReadStream } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Zip, ZipDeflate } from "fflate";

/** Of every entry, so that the same files give the same bytes; the earliest that the format has. */
const DATE = new Date(1980, 0, 1);
/** Checkpoints are large, and can be computed again. */
const LEFT_OUT = new Set(["stages"]);
const ENDINGS = /\.(?:json|csv|yaml|html|css|js|onnx|safetensors|br)$/;

/**
 * Writes a run directory into one zip file, without its checkpoints; it appears whole or not at all.
 *
 * @param folder what the directory is called inside
 * @returns the files inside, in order
 */
export async function writeBundle(
  directory: string,
  file: string,
  folder: string,
): Promise<string[]> {
  const names = await filesBelow(directory);
  const temporary = `${file}.${String(process.pid)}.tmp`;
  const out = await open(temporary, "w");
  try {
    let waiting: Uint8Array[] = [];
    let failure: Error | undefined;
    const zip = new Zip((error, chunk) => {
      // Typed as always there, but null where nothing failed.
      if ((error as Error | null) !== null) failure = error as Error;
      else waiting.push(chunk);
    });
    const flush = async () => {
      if (failure !== undefined) throw failure;
      const chunks = waiting;
      waiting = [];
      for (const chunk of chunks) await out.writeFile(chunk);
    };
    for (const name of names) {
      const entry = new ZipDeflate(`${folder}/${name}`);
      entry.mtime = DATE;
      zip.add(entry);
      for await (const chunk of createReadStream(join(directory, name))) {
        entry.push(chunk as Buffer);
        await flush();
      }
      entry.push(new Uint8Array(0), true);
      await flush();
    }
    zip.end();
    await flush();
    await out.sync();
    await out.close();
    await rename(temporary, file);
  } catch (error) {
    await out.close().catch(() => undefined); // it may be closed already
    await rm(temporary, { force: true });
    throw new Error(`cannot write ${file}: ${(error as Error).message}`, { cause: error });
  }
  return names;
}

/** Relative paths with slashes, sorted; links and files that no run writes are left out. */
async function filesBelow(directory: string, prefix = ""): Promise<string[]> {
  const entries = await readdir(join(directory, prefix), { withFileTypes: true });
  const files: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory() && !LEFT_OUT.has(name))
      files.push(...(await filesBelow(directory, `${name}/`)));
    if (entry.isFile() && ENDINGS.test(entry.name)) files.push(name);
  }
  return files;
}
