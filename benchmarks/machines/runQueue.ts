import { type Job, Queue, UnrecoverableError, WaitingError, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { PREFIX } from "./redis.js";
import { type QueuedJob, queuedJobSchema } from "./schema.js";

/** A worker that is gone for so long has lost its jobs. */
const LOCK_MS = 30_000;
/** How often lost jobs are looked for. */
const LOOK_MS = 10_000;
/** Times that a job may end without a word, or lose its worker. */
const MOST_ATTEMPTS = 3;
const MOST_LOST = 20;

/** How many jobs are where. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  /** They wait for another job. */
  readonly held: number;
}

/** What a worker made of a job. */
export type Outcome =
  | { readonly state: "done" }
  /** It ended without a word and may be tried again. */
  | { readonly state: "lost"; readonly reason: string }
  /** The worker stops: somebody else takes the job. */
  | { readonly state: "returned" };

export interface TakenJob extends QueuedJob {
  /** So many workers were lost with it that it has to end. */
  readonly hopeless: boolean;
  /** Reasons why it may not be tried again after this time. */
  readonly last: boolean;
}

/**
 * The jobs of a run on a Redis server, with BullMQ. A job is known by its id until the run is
 * forgotten, also after it has ended, so that adding it again changes nothing. Jobs that wait for
 * another one lie beside the queue until whoever finishes that one releases them.
 */
export class RunQueue {
  readonly name: string;
  readonly #redis: Redis;
  readonly #queue: Queue;

  constructor(redis: Redis, name: string) {
    this.name = name;
    this.#redis = redis;
    this.#queue = new Queue(name, { connection: redis, prefix: PREFIX, skipVersionCheck: true });
    this.#queue.on("error", () => undefined); // the connection tells
  }

  #key(part: string): string {
    return `${PREFIX}:${this.name}:${part}`;
  }

  /** Adds jobs; those whose ids are known, also of jobs that have ended, stay as they are. */
  async enqueue(jobs: readonly QueuedJob[]): Promise<void> {
    for (let start = 0; start < jobs.length; start += CHUNK)
      await this.#queue.addBulk(
        jobs.slice(start, start + CHUNK).map(({ id, data, priority }) => ({
          name: data.kind,
          data,
          opts: { jobId: id, priority, attempts: MOST_ATTEMPTS },
        })),
      );
  }

  /** Keeps jobs until the one they wait for is released. */
  async hold(jobs: readonly QueuedJob[]): Promise<void> {
    for (let start = 0; start < jobs.length; start += CHUNK) {
      const pipeline = this.#redis.pipeline();
      for (const job of jobs.slice(start, start + CHUNK)) {
        const { after = "" } = job;
        pipeline.sadd(this.#key("heldBy"), after);
        pipeline.hset(this.#key(`held:${after}`), job.id, JSON.stringify(job));
      }
      await checked(pipeline.exec());
    }
  }

  /** Jobs that wait for another one. */
  async heldBy(id: string): Promise<QueuedJob[]> {
    const held = await this.#redis.hgetall(this.#key(`held:${id}`));
    return Object.values(held).map(parseHeld);
  }

  /** Lets jobs run that wait for this one; may be done again after it was cut short. */
  async release(id: string): Promise<number> {
    const held = await this.heldBy(id);
    await this.enqueue(held);
    await this.dropHeld(id, held);
    return held.length;
  }

  async dropHeld(id: string, held: readonly QueuedJob[]): Promise<void> {
    const key = this.#key(`held:${id}`);
    for (let start = 0; start < held.length; start += CHUNK)
      await this.#redis.hdel(key, ...held.slice(start, start + CHUNK).map((job) => job.id));
    if ((await this.#redis.hlen(key)) === 0) await this.#redis.srem(this.#key("heldBy"), id);
  }

  /** Ids of jobs that others wait for. */
  holders(): Promise<string[]> {
    return this.#redis.smembers(this.#key("heldBy"));
  }

  async counts(): Promise<QueueCounts> {
    const { active = 0, ...waiting } = await this.#queue.getJobCounts(
      ...(["wait", "prioritized", "delayed", "active"] as const),
    );
    const holders = await this.holders();
    const held = await Promise.all(holders.map((id) => this.#redis.hlen(this.#key(`held:${id}`))));
    const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
    return { waiting: sum(Object.values(waiting)), active, held: sum(held) };
  }

  /** Ids of jobs that have ended. */
  async endedIds(): Promise<Set<string>> {
    const keys = ["completed", "failed"].map((state) => this.#key(state));
    const ids = await Promise.all(keys.map((key) => this.#redis.zrange(key, 0, -1)));
    return new Set(ids.flat());
  }

  /** Jobs that BullMQ gave up, with the last reason. */
  async failures(): Promise<
    { readonly job: Pick<QueuedJob, "id" | "data">; readonly reason: string }[]
  > {
    const failed = await this.#queue.getFailed();
    return failed.flatMap(({ id = "", data, failedReason }) => {
      const parsed = queuedJobSchema.safeParse(data);
      return parsed.success ? [{ job: { id, data: parsed.data }, reason: failedReason }] : [];
    });
  }

  /** Of some ids those that no job has, held ones included. */
  async unknownIds(ids: readonly string[]): Promise<Set<string>> {
    const pipeline = this.#redis.pipeline();
    for (const id of ids) pipeline.exists(this.#key(id));
    const found = await checked(pipeline.exec());
    const unknown = new Set(ids.filter((_, i) => found[i] === 0));
    for (const holder of await this.holders())
      for (const id of await this.#redis.hkeys(this.#key(`held:${holder}`))) unknown.delete(id);
    return unknown;
  }

  /** Makes ended jobs unknown, so that they can be added again. */
  async forget(ids: Iterable<string>): Promise<void> {
    for (const id of ids) await this.#queue.remove(id);
  }

  /** Removes everything that the server holds of the run. */
  async obliterate(): Promise<void> {
    const holders = await this.holders();
    await this.#queue.obliterate({ force: true });
    const parts = ["heldBy", ...holders.map((id) => `held:${id}`)];
    await this.#redis.del(...parts.map((part) => this.#key(part)));
  }

  /**
   * Takes jobs, so many at a time, until it is closed.
   *
   * @param run never throws; the lock is renewed while it runs
   */
  work(
    concurrency: number,
    {
      run,
      onNote,
    }: {
      readonly run: (job: TakenJob) => Promise<Outcome>;
      readonly onNote: (text: string) => void;
    },
  ): { close(): Promise<void> } {
    const process = async (job: Job, token?: string): Promise<string> => {
      const outcome = await run(taken(job));
      switch (outcome.state) {
        case "done":
          return "";
        case "lost":
          throw new Error(outcome.reason);
        case "returned":
          await job.moveToWait(token);
          throw new WaitingError();
        default:
          return outcome satisfies never;
      }
    };
    const worker = new Worker(this.name, process, {
      connection: this.#redis,
      prefix: PREFIX,
      concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: LOOK_MS,
      // Lost workers are counted here, so that a job that loses too many gets a result.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      skipVersionCheck: true,
    });
    worker.on("error", ({ message }) => {
      // Somebody else has the job by now: what it stores is compared with what is there.
      if (/lock/i.test(message)) onNote(`a job was taken over by another worker (${message})`);
    });
    worker.on("stalled", (id) => {
      onNote(`${id} lost its worker and runs again`);
    });
    return { close: () => worker.close() };
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}

/** Jobs that are sent at a time. */
const CHUNK = 500;

/** @throws UnrecoverableError when a job is not what this program makes */
function taken(job: Job): TakenJob {
  const parsed = queuedJobSchema.safeParse(job.data);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UnrecoverableError(
      `it is no valid job: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`,
    );
  }
  return {
    id: job.id ?? "",
    data: parsed.data,
    priority: job.priority,
    last: job.attemptsMade + 1 >= MOST_ATTEMPTS,
    hopeless: job.stalledCounter >= MOST_LOST,
  };
}

function parseHeld(text: string): QueuedJob {
  const { id, data, priority } = JSON.parse(text) as Record<string, unknown>;
  return { id: String(id), data: queuedJobSchema.parse(data), priority: Number(priority) };
}

/** Replies of a pipeline. */
async function checked(
  replies: Promise<[error: Error | null, reply: unknown][] | null>,
): Promise<unknown[]> {
  return ((await replies) ?? []).map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}
