import type { CellResult } from "../../results/schema.js";
import type { Registry } from "./registry.js";
import { bytesOf, publishResult } from "./results.js";
import type { RunQueue } from "./runQueue.js";
import type { QueuedJob } from "./schema.js";
import type { Store } from "./store.js";

/** Where failures are recorded. */
export interface Records {
  readonly store: Store;
  readonly registry: Registry;
  readonly queue: RunQueue;
  /** The environment of who records them. */
  readonly origin: string;
  readonly onNote: (text: string) => void;
}

/** What cannot be computed is a result with a reason, and so is every cell that waits for a float training. */
export async function recordFailure(
  job: Pick<QueuedJob, "id" | "data">,
  reason: string,
  records: Records,
): Promise<void> {
  const { store, registry, queue, origin, onNote } = records;
  const { kind, cellId, config, cost } = job.data;
  if (kind === "pretrain") {
    const held = await queue.heldBy(job.id);
    for (const waiting of held) {
      await recordFailure(waiting, reason, records);
      await queue.release(waiting.id);
    }
    await queue.dropHeld(job.id, held);
    return;
  }
  const result: CellResult = { id: cellId, config, state: "failed", reason };
  const bytes = bytesOf(result);
  await publishResult(store, { result, bytes, origin }, onNote);
  await registry.record(queue.name, { cellId, state: "failed", cost });
}
