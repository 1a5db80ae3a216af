import { stageKeys } from "../cell/index.js";
import type { Cell } from "../planning/index.js";
import { cellJobId, pretrainJobId } from "./queueJobs.js";
import { stageKey } from "./results.js";
import type { RunQueue } from "./runQueue.js";
import type { QueuedJob } from "./schema.js";
import type { Store } from "./store.js";

/**
 * Makes sure that every cell without a result has a job, and every float training that it waits for.
 * What is there already stays, so that this may be done at any time and by several at once.
 */
export async function ensureJobs(
  queue: RunQueue,
  jobs: readonly QueuedJob[],
  { missing, store }: { readonly missing: readonly Cell[]; readonly store: Store },
): Promise<void> {
  const stages = new Set((await store.list("stages")).map((name) => `stages/${name}`));
  const cells = new Set(missing.map(({ id }) => cellJobId(id)));
  const trained = new Set(
    missing
      .filter((cell) => stages.has(stageKey(stageKeys(cell)[0])))
      .map(({ pretrainKey }) => pretrainJobId(pretrainKey)),
  );
  /** Whether a job waits for one that has not ended. */
  const mustWait = ({ after }: QueuedJob): boolean =>
    after !== undefined && !trained.has(after) && (cells.has(after) || isPretraining(after));
  const cellJobs = jobs.filter(({ id }) => cells.has(id));
  const awaited = new Set(cellJobs.filter(mustWait).map(({ after }) => after));
  const wanted = [...jobs.filter(({ id }) => isPretraining(id) && awaited.has(id)), ...cellJobs];
  const unknown = await queue.unknownIds(wanted.map(({ id }) => id));
  const absent = wanted.filter(({ id }) => unknown.has(id));
  // Held before what they wait for is there, so that whoever ends that finds them.
  await queue.hold(absent.filter(mustWait));
  await queue.enqueue(absent.filter((job) => !mustWait(job)));
  // A worker may have died between ending a job and releasing what waited for it.
  const ended = await queue.endedIds();
  for (const holder of await queue.holders()) if (ended.has(holder)) await queue.release(holder);
}

export const isPretraining = (id: string): boolean => id.startsWith("pretrain-");
