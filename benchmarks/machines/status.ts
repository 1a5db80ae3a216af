import { connect, shownUrl } from "./redis.js";
import { Registry, type Tally } from "./registry.js";
import { type QueueCounts, RunQueue } from "./runQueue.js";
import type { Announcement, Heartbeat } from "./schema.js";

/** A run as a server knows it. */
export interface RunStatus {
  readonly queue: string;
  readonly announcement: Announcement;
  readonly tally: Tally;
  readonly counts: QueueCounts;
  /** Until every cell has a result, at the pace so far; infinite where nothing has come out yet. */
  readonly secondsLeft: number;
}

export interface QueueStatus {
  readonly server: string;
  readonly runs: readonly RunStatus[];
  readonly workers: readonly Heartbeat[];
}

/** What remains, at the pace at which costs were worked off so far. */
export function secondsLeft(
  { cost, earlierCost, seconds }: Pick<Tally, "cost" | "earlierCost" | "seconds">,
  { cost: total }: Pick<Announcement, "cost">,
): number {
  return cost === 0 ? Infinity : (Math.max(0, total - earlierCost - cost) / cost) * seconds;
}

/** @throws Error when the server does not answer */
export async function readStatus(
  server: string,
  onNote: (text: string) => void,
): Promise<QueueStatus> {
  const redis = await connect(server, onNote);
  try {
    const registry = new Registry(redis);
    const runs: RunStatus[] = [];
    for (const [name, announcement] of await registry.announced()) {
      if (typeof announcement === "string") {
        onNote(`${name}: ${announcement}`);
        continue;
      }
      const queue = new RunQueue(redis, name);
      const tally = await registry.tally(name);
      const left = secondsLeft(tally, announcement);
      runs.push({
        queue: name,
        announcement,
        tally,
        counts: await queue.counts(),
        secondsLeft: left,
      });
      await queue.close();
    }
    return { server: shownUrl(server), runs, workers: [...(await registry.workers()).values()] };
  } finally {
    redis.disconnect();
  }
}
