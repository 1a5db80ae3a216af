import { randomUUID } from "node:crypto";
import { link, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { makeDirectory } from "../../results/makeDirectory.js";
import { checkKey, checksumOf, type Store, type StoredObject } from "./store.js";

/** Unfinished files; what a killed writer leaves here is removed after a day. */
const INCOMING = "incoming";
const LEFTOVER_MS = 24 * 3600 * 1000;
/** Empty files whose names say which bytes a key may have; they hold who wrote them. */
const CHECKSUMS = "checksums";

/**
 * A directory that all machines mount. Writing first announces the checksum, then links the flushed
 * file to its name, which fails if that is taken: the same on local disks and NFS.
 */
export class DirectoryStore implements Store {
  readonly location: string;

  constructor(location: string) {
    this.location = resolve(location);
  }

  async get(key: string): Promise<StoredObject | undefined> {
    const bytes = await readIfThere(this.#path(key));
    if (bytes === undefined) return undefined;
    const origin = await readIfThere(this.#checksumPath(key, bytes));
    return origin === undefined
      ? { broken: "does not have the checksum that it was written with" }
      : { bytes, origin: origin.toString() };
  }

  async add(key: string, bytes: Uint8Array, origin: string): Promise<boolean> {
    return this.#write(key, { bytes, origin }, async (incoming, path) => {
      try {
        await link(incoming, path);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      }
    });
  }

  async replace(key: string, bytes: Uint8Array, origin: string): Promise<void> {
    await this.#write(key, { bytes, origin }, async (incoming, path) => {
      await rename(incoming, path);
      return true;
    });
  }

  async #write(
    key: string,
    { bytes, origin }: { readonly bytes: Uint8Array; readonly origin: string },
    place: (incoming: string, path: string) => Promise<boolean>,
  ): Promise<boolean> {
    const path = this.#path(key);
    const incoming = join(this.location, INCOMING, randomUUID());
    try {
      await this.#writeFlushed(incoming, bytes);
      await this.#announce(key, bytes, origin);
      await makeDirectory(dirname(path));
      return await place(incoming, path);
    } catch (error) {
      throw new Error(`cannot write ${path}: ${(error as Error).message}`, { cause: error });
    } finally {
      // After an error that it hides nothing matters; what stays is removed after a day.
      await rm(incoming, { force: true }).catch(() => undefined);
    }
  }

  async #announce(key: string, bytes: Uint8Array, origin: string): Promise<void> {
    const path = this.#checksumPath(key, bytes);
    await makeDirectory(dirname(path));
    const incoming = join(this.location, INCOMING, randomUUID());
    await this.#writeFlushed(incoming, Buffer.from(origin));
    await rename(incoming, path);
  }

  async #writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
    await makeDirectory(dirname(path));
    const file = await open(path, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async remove(key: string): Promise<void> {
    await rm(this.#path(key), { force: true });
  }

  async list(folder: string): Promise<string[]> {
    try {
      return await readdir(this.#path(folder));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  async check(): Promise<void> {
    const incoming = join(this.location, INCOMING);
    const probe = join(incoming, randomUUID());
    const linked = join(incoming, randomUUID());
    try {
      await this.#writeFlushed(probe, new Uint8Array(0));
      await link(probe, linked);
    } catch (error) {
      throw new Error(
        `the store ${this.location} must be a directory that this machine can write to and link in: ${(error as Error).message}`,
        { cause: error },
      );
    } finally {
      for (const path of [probe, linked]) await rm(path, { force: true }).catch(() => undefined);
    }
    await this.#removeLeftovers(incoming);
  }

  async #removeLeftovers(incoming: string): Promise<void> {
    for (const name of await readdir(incoming)) {
      const path = join(incoming, name);
      const entry = await stat(path).catch(() => undefined); // its writer may be done with it
      if (entry !== undefined && Date.now() - entry.mtimeMs > LEFTOVER_MS)
        await rm(path, { force: true });
    }
  }

  #path(key: string): string {
    return join(this.location, checkKey(key));
  }

  #checksumPath(key: string, bytes: Uint8Array): string {
    return join(this.location, CHECKSUMS, `${checkKey(key)}.${checksumOf(bytes)}`);
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
