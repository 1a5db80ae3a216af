import type { Redis } from "ioredis";
import { PREFIX } from "./redis.js";
import {
  type Announcement,
  announcementSchema,
  type Heartbeat,
  heartbeatSchema,
} from "./schema.js";

const QUEUES = `${PREFIX}:queues`;
const WORKER = `${PREFIX}:worker:`;
/** A worker that was not heard of for so long is gone. */
const HEARTBEAT_SECONDS = 20;

/** What has come out of a run so far. */
export interface Tally {
  readonly done: number;
  readonly failed: number;
  /** Of what is done: before the queue knew of the run. */
  readonly earlier: number;
  readonly earlierCost: number;
  /** Of what is done since then, in the unit of plans. */
  readonly cost: number;
  /** Seconds since the first cell was taken, and since something came out last. */
  readonly seconds: number;
  /** Results that came twice. */
  readonly equal: number;
  readonly different: number;
}

/** What a Redis server says of runs and workers, beside their jobs. */
export class Registry {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async announce(queue: string, announcement: Announcement): Promise<void> {
    await this.#redis.hset(QUEUES, queue, JSON.stringify(announcement));
  }

  async isAnnounced(queue: string): Promise<boolean> {
    return (await this.#redis.hexists(QUEUES, queue)) === 1;
  }

  /** Runs by queue; a text instead says what is wrong with an announcement. */
  async announced(): Promise<Map<string, Announcement | string>> {
    const found = Object.entries(await this.#redis.hgetall(QUEUES));
    return new Map(found.map(([queue, text]) => [queue, parse(text)]));
  }

  /** Removes what is known of a run. */
  async withdraw(queue: string): Promise<void> {
    await this.#redis.hdel(QUEUES, queue);
    await this.#redis.del(key(queue, "done"), key(queue, "failedCells"), key(queue, "tally"));
  }

  async started(queue: string): Promise<void> {
    await this.#redis.hsetnx(key(queue, "tally"), "started", await this.#now());
  }

  /** Records that a cell has a result; again is once. */
  async record(
    queue: string,
    {
      cellId,
      state,
      cost,
    }: { readonly cellId: string; readonly state: string; readonly cost: number },
  ): Promise<void> {
    const failed = state === "failed";
    await this.#redis[failed ? "sadd" : "srem"](key(queue, "failedCells"), cellId);
    if ((await this.#redis.sadd(key(queue, "done"), cellId)) === 1)
      await this.#redis.hincrbyfloat(key(queue, "tally"), "cost", cost);
  }

  /** Records cells that had results before the queue knew of them; they do not count for the pace. */
  async recordEarlier(
    queue: string,
    { ids, cost }: { readonly ids: readonly string[]; readonly cost: number },
  ): Promise<void> {
    await this.#redis.hsetnx(key(queue, "tally"), "earlier", ids.length);
    await this.#redis.hsetnx(key(queue, "tally"), "earlierCost", cost);
    for (let start = 0; start < ids.length; start += 1000)
      await this.#redis.sadd(key(queue, "done"), ...ids.slice(start, start + 1000));
  }

  /** Cells that are to run again have no result. */
  async unrecord(queue: string, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#redis.srem(key(queue, "done"), ...ids);
    await this.#redis.srem(key(queue, "failedCells"), ...ids);
  }

  async recordDuplicate(queue: string, kind: "equal" | "different"): Promise<void> {
    await this.#redis.hincrby(key(queue, "tally"), kind, 1);
  }

  async tally(queue: string): Promise<Tally> {
    const [done, failed, values, now] = await Promise.all([
      this.#redis.scard(key(queue, "done")),
      this.#redis.scard(key(queue, "failedCells")),
      this.#redis.hgetall(key(queue, "tally")),
      this.#now(),
    ]);
    const value = (name: string): number => Number(values[name] ?? 0);
    const seconds = values["started"] === undefined ? 0 : (now - value("started")) / 1000;
    return {
      ...{ done, failed, seconds, cost: value("cost") },
      ...{ earlier: value("earlier"), earlierCost: value("earlierCost") },
      ...{ equal: value("equal"), different: value("different") },
    };
  }

  async beat(worker: string, heartbeat: Heartbeat): Promise<void> {
    await this.#redis.set(WORKER + worker, JSON.stringify(heartbeat), "EX", HEARTBEAT_SECONDS);
  }

  async leave(worker: string): Promise<void> {
    await this.#redis.del(WORKER + worker);
  }

  async workers(): Promise<Map<string, Heartbeat>> {
    const found = new Map<string, Heartbeat>();
    let cursor = "0";
    do {
      const [next, keys] = await this.#redis.scan(cursor, "MATCH", `${WORKER}*`, "COUNT", 500);
      cursor = next;
      for (const name of keys) {
        const text = await this.#redis.get(name);
        const parsed = text === null ? undefined : heartbeatSchema.safeParse(jsonOf(text));
        if (parsed?.success) found.set(name.slice(WORKER.length), parsed.data);
      }
    } while (cursor !== "0");
    return found;
  }

  /** Milliseconds of the server's clock: those of machines may differ. */
  async #now(): Promise<number> {
    const [seconds, micros] = await this.#redis.time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }
}

const key = (queue: string, part: string): string => `${PREFIX}:${queue}:${part}`;

function parse(text: string): Announcement | string {
  const parsed = announcementSchema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `its announcement is not valid: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
