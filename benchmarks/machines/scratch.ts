import { readdir, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { makeDirectory } from "../../results/makeDirectory.js";

/** More workers than this on one machine would be a mistake. */
const MOST = 1024;

/**
 * A directory for what a worker is about to compute. A worker that was killed leaves its own behind, with
 * trainings half done; the next one on the machine goes on there.
 *
 * @param store tells stores apart
 */
export async function claimScratch(
  parent: string | undefined,
  store: string,
): Promise<{ readonly path: string; release(): Promise<void> }> {
  const root = join(parent ?? defaultRoot(), store);
  for (let slot = 0; slot < MOST; slot++) {
    const path = join(root, String(slot));
    await makeDirectory(path);
    const unlock = await lockfile
      .lock(path, { stale: 5000, update: 1000, onCompromised: () => undefined })
      .catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ELOCKED") return undefined;
        throw error;
      });
    if (unlock === undefined) continue;
    await removeFinished(path);
    return {
      path,
      async release() {
        await removeFinished(path);
        await unlock();
      },
    };
  }
  throw new Error(`${root} is used by ${String(MOST)} workers; name another --scratch`);
}

const defaultRoot = (): string =>
  join(process.env["XDG_CACHE_HOME"] ?? join(os.homedir(), ".cache"), "quantbench");

/** What has ended is in the store; only trainings half done are worth keeping. */
async function removeFinished(path: string): Promise<void> {
  for (const folder of await readdir(path)) {
    if (folder !== "stages") {
      await rm(join(path, folder), { recursive: true, force: true });
      continue;
    }
    for (const name of await readdir(join(path, folder)))
      if (!name.endsWith(".unfinished")) await rm(join(path, folder, name), { force: true });
  }
}
