// Many machines: a plan's cells as jobs on a Redis server, workers that take them, a store where results
// meet. Whatever is lost is computed again, and what is computed twice is compared. A newcomer adds a
// kind of store or of queue; what a cell computes must not depend on it.
export { executeOnQueue, type Meeting } from "./coordinate.js";
export { readStatus, type QueueStatus, type RunStatus } from "./status.js";
export { work, type WorkOptions } from "./work.js";
export { openStore } from "./openStore.js";
export { pull } from "./pull.js";
export { connect } from "./redis.js";
export { bytesOf, publishResult, readResult } from "./results.js";
export { type Outcome, RunQueue, type TakenJob } from "./runQueue.js";
export type { QueuedJob } from "./schema.js";
