import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "./store.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A disk that is full, or a service that does not answer, is waited for so long. */
const PATIENCE_MS = 10 * 60_000;

/**
 * A store that tries again where another one fails: hours of work must not be lost because a disk is full
 * for a while.
 *
 * @param onNote told of each failure, so that somebody can make room
 */
export function patient(store: Store, onNote: (text: string) => void): Store {
  const retried = async <T>(attempt: () => Promise<T>): Promise<T> => {
    const end = performance.now() + PATIENCE_MS;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        return await attempt();
      } catch (error) {
        if (performance.now() + pause > end) throw error;
        const seconds = (pause / 1000).toFixed(1);
        onNote(`${(error as Error).message}; it is tried again in ${seconds} s`);
        await sleep(pause);
      }
    }
  };
  return {
    location: store.location,
    get: (key) => retried(() => store.get(key)),
    add: (...object) => retried(() => store.add(...object)),
    replace: (...object) => retried(() => store.replace(...object)),
    remove: (key) => retried(() => store.remove(key)),
    list: (folder) => retried(() => store.list(folder)),
    check: () => store.check(),
  };
}
