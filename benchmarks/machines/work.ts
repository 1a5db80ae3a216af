import { fork, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cellName } from "../../results/store.js";
import { loadedPlugins } from "../plugins/index.js";
import { describeEnvironment, type JobFailure, runInChild } from "../running/index.js";
import { isAborted } from "./aborted.js";
import { codeVersion } from "./codeVersion.js";
import type { ChildJob } from "./machineChild.js";
import { recordFailure } from "./failures.js";
import { patient } from "./patientStore.js";
import type { ProbeReply, ProbeRequest } from "./probe.js";
import { connect } from "./redis.js";
import { Registry } from "./registry.js";
import { publishEnvironment } from "./results.js";
import { type Outcome, type QueueCounts, RunQueue, type TakenJob } from "./runQueue.js";
import type { Announcement, QueuedJob } from "./schema.js";
import { claimScratch } from "./scratch.js";
import { openStore } from "./openStore.js";
import { identityOf, type Store } from "./store.js";

export interface WorkOptions {
  readonly queue: string;
  readonly store: string;
  /** Jobs at a time, each on one core. */
  readonly jobs: number;
  /** Where data sets lie that are not embedded, or the user's own images. */
  readonly data?: string;
  /** Where files lie until they are stored; a folder of the user's cache if absent. */
  readonly scratch?: string;
  /** End when no run has anything left to do, instead of waiting for more. */
  readonly exitWhenDone: boolean;
  readonly hangSeconds: number;
  readonly onNote: (text: string) => void;
}

const CHILD = fileURLToPath(new URL("./machineChild.js", import.meta.url));
const PROBE = fileURLToPath(new URL("./probe.js", import.meta.url));
const LOOK_MS = 2000;
const BEAT_MS = 5000;
const FIRST_RUN_MS = 60_000;
/** Giving jobs back takes a moment, if the server is there. */
const GOODBYE_MS = 10_000;

/**
 * Takes jobs from the runs of a server that this machine can compute, until the signal is aborted.
 *
 * @returns how many cells it computed
 */
export async function work(options: WorkOptions, signal: AbortSignal): Promise<number> {
  const store = patient(openStore(options.store), options.onNote);
  await store.check();
  const redis = await connect(options.queue, options.onNote);
  const storeId = await identityOf(store, randomUUID());
  const scratch = await claimScratch(options.scratch, storeId);
  const machine = new Machine(options, {
    ...{ store, redis, storeId, signal, scratch: scratch.path },
    origin: await publishEnvironment(store, await describeEnvironment()),
    code: await codeVersion(),
  });
  signal.addEventListener("abort", () => {
    setTimeout(() => {
      redis.disconnect();
    }, GOODBYE_MS).unref();
  });
  try {
    return await machine.serve();
  } finally {
    await scratch.release();
    redis.disconnect();
  }
}

interface Site {
  readonly store: Store;
  readonly storeId: string;
  readonly redis: Awaited<ReturnType<typeof connect>>;
  readonly scratch: string;
  readonly origin: string;
  readonly code: string;
  readonly signal: AbortSignal;
}

class Machine {
  readonly #id = `${os.hostname()}-${randomUUID().slice(0, 8)}`;
  readonly #options: WorkOptions;
  readonly #site: Site;
  readonly #registry: Registry;
  /** Runs that this machine looked at: why it cannot compute them, or nothing. */
  readonly #judged = new Map<string, string | undefined>();
  readonly #running = new Map<string, { queue: string; label: string; stage: string }>();
  readonly #idle: ChildProcess[] = [];
  readonly #started = performance.now();
  #computed = 0;

  constructor(options: WorkOptions, site: Site) {
    this.#options = options;
    this.#site = site;
    this.#registry = new Registry(site.redis);
  }

  async serve(): Promise<number> {
    const { signal } = this.#site;
    const beating = setInterval(() => void this.#beat(), BEAT_MS);
    try {
      await this.#beat();
      while (!signal.aborted) {
        try {
          const next = await this.#next();
          if (next !== undefined) await this.#serveRun(...next);
          else if (this.#options.exitWhenDone && (await this.#allDone())) break;
        } catch (error) {
          // A server that cannot write just now may later.
          this.#options.onNote(`the queue: ${(error as Error).message}; it is tried again`);
        }
        await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined); // aborted
      }
    } finally {
      clearInterval(beating);
      for (const child of this.#idle) child.disconnect();
      await this.#registry.leave(this.#id).catch(() => undefined); // it ends by itself
    }
    return this.#computed;
  }

  async #beat(): Promise<void> {
    const running = [...this.#running.values()];
    const cpu = os.cpus()[0]?.model ?? "unknown";
    await this.#registry
      .beat(this.#id, { host: os.hostname(), cores: os.availableParallelism(), cpu, running })
      .catch(() => undefined); // the connection tells
  }

  /**
   * A run that has jobs which this machine can take; else one whose jobs others have: they may be lost, and only
   * who serves a run notices.
   */
  async #next(): Promise<[string, Announcement] | undefined> {
    let busy: [string, Announcement] | undefined;
    for (const [name, announcement] of await this.#registry.announced()) {
      if (typeof announcement === "string") this.#judge(name, announcement);
      else if (!this.#judged.has(name)) this.#judge(name, await this.#refusal(announcement));
      if (typeof announcement === "string" || this.#judged.get(name) !== undefined) continue;
      const { waiting, active, held } = await this.#counts(name);
      if (waiting > 0) return [name, announcement];
      if (active + held > 0) busy ??= [name, announcement];
    }
    return busy;
  }

  async #counts(name: string): Promise<QueueCounts> {
    const queue = new RunQueue(this.#site.redis, name);
    try {
      return await queue.counts();
    } finally {
      await queue.close();
    }
  }

  #judge(name: string, refusal: string | undefined): void {
    if (this.#judged.has(name) && this.#judged.get(name) === refusal) return;
    this.#judged.set(name, refusal);
    this.#options.onNote(
      refusal === undefined ? `takes jobs of ${name}` : `takes no jobs of ${name}: ${refusal}`,
    );
  }

  async #refusal(announcement: Announcement): Promise<string | undefined> {
    const { code, storeId, store } = this.#site;
    if (announcement.code !== code)
      return `it is of version ${announcement.code}, and this is ${code}; install the same version and plugins`;
    if (announcement.store !== storeId)
      return `its results are in another store than ${store.location}`;
    const dataset = this.#datasetOf(announcement);
    return probe({
      announcement: { ...announcement, dataset },
      dataDirectory: this.#dataDirectory,
    });
  }

  get #dataDirectory(): string {
    return this.#options.data ?? process.env["QUANTBENCH_DATA"] ?? "data";
  }

  /** Own images are taken from where this machine has them; their checksum is compared. */
  #datasetOf({ dataset }: Announcement): Announcement["dataset"] {
    const { data } = this.#options;
    return typeof dataset === "string" || data === undefined ? dataset : { ...dataset, path: data };
  }

  async #allDone(): Promise<boolean> {
    // Whoever starts everything at once may start workers first.
    if (this.#judged.size === 0 && performance.now() - this.#started < FIRST_RUN_MS) return false;
    for (const [name] of await this.#registry.announced()) {
      if (this.#judged.get(name) !== undefined) continue;
      const { waiting, active, held } = await this.#counts(name);
      if (waiting + active + held > 0) return false;
    }
    return true;
  }

  /** Takes jobs of a run until none is left, another run has some that wait, or the worker stops. */
  async #serveRun(name: string, announcement: Announcement): Promise<void> {
    const { signal } = this.#site;
    const queue = new RunQueue(this.#site.redis, name);
    const { onNote, jobs } = this.#options;
    const worker = queue.work(jobs, {
      onNote,
      run: (job) => this.#run(job, queue, announcement),
    });
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined); // aborted
      if (this.#running.size > 0) continue;
      const { waiting, active, held } = await queue.counts();
      if (waiting + active + held === 0 || (waiting === 0 && (await this.#hasOther(name)))) break;
    }
    await worker.close();
    await queue.close();
  }

  /** Whether another run than this one has jobs that wait for this machine. */
  async #hasOther(name: string): Promise<boolean> {
    const next = await this.#next();
    return next !== undefined && next[0] !== name && (await this.#counts(next[0])).waiting > 0;
  }

  async #run(job: TakenJob, queue: RunQueue, announcement: Announcement): Promise<Outcome> {
    const { signal, code } = this.#site;
    if (signal.aborted) return { state: "returned" };
    if (job.data.code !== code)
      throw new Error(`the job is of version ${job.data.code}, and this is ${code}`);
    await this.#registry.started(queue.name);
    const label = labelOf(job);
    this.#running.set(job.id, { queue: queue.name, label, stage: "starting" });
    try {
      const failure: JobFailure | undefined = job.hopeless
        ? { reason: "its worker was lost again and again", lost: true, bySignal: false }
        : await this.#compute(job, queue, announcement);
      if (isAborted(signal) && failure !== undefined) return { state: "returned" };
      if (failure?.lost && !job.last && !job.hopeless) {
        this.#options.onNote(`${label}: ${failure.reason}; it is tried again`);
        return { state: "lost", reason: failure.reason };
      }
      if (failure !== undefined) {
        const { store, origin } = this.#site;
        const { onNote } = this.#options;
        onNote(`${label} failed: ${failure.reason}`);
        const records = { store, origin, queue, onNote, registry: this.#registry };
        await recordFailure(job, failure.reason, records);
      }
      if (job.data.kind === "cell" || failure === undefined) await queue.release(job.id);
      return { state: "done" };
    } finally {
      this.#running.delete(job.id);
    }
  }

  #compute(job: TakenJob, queue: RunQueue, announcement: Announcement) {
    const { store, scratch, origin, signal } = this.#site;
    const { hangSeconds, onNote } = this.#options;
    const { engine, lowering } = announcement;
    const childJob: ChildJob = {
      ...{ id: job.id, data: job.data, engine, lowering, threads: 1 },
      ...{ dataset: this.#datasetOf(announcement), dataDirectory: this.#dataDirectory },
      ...{ store: store.location, scratch, origin },
    };
    const recorded: Promise<void>[] = [];
    // What the server shows is only words: results are in the store by now.
    const record = (recording: Promise<void>) => {
      recorded.push(
        recording.catch((error: unknown) => {
          onNote(`the queue: ${(error as Error).message}`);
        }),
      );
    };
    return runInChild(
      childJob,
      this.#idle,
      {
        onProgress: (_, { stage }) => {
          this.#running.set(job.id, { queue: queue.name, label: labelOf(job), stage });
        },
        onNote,
        onCell: (_, { cellId, state, duplicate }) => {
          if (state !== "failed") this.#computed += 1;
          const { cost } = job.data;
          record(this.#registry.record(queue.name, { cellId, state, cost }));
          if (duplicate !== undefined)
            record(this.#registry.recordDuplicate(queue.name, duplicate));
        },
      },
      { silenceMs: hangSeconds * 1000, signal, workerFile: CHILD },
    ).finally(() => Promise.all(recorded));
  }
}

function labelOf({ data: { kind, config, cellId } }: QueuedJob): string {
  if (kind === "cell") return cellName({ id: cellId, config });
  return `${config.model.name}-w${String(config.model.width)} seed ${String(config.seed)} in float`;
}

/**
 * Whether this machine can compute a run's cells: the reason why not, or nothing.
 *
 * @throws Error when the process that finds out is killed
 */
function probe(request: ProbeRequest): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = fork(PROBE, loadedPlugins(), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    child.once("message", ({ refusal }: ProbeReply) => {
      resolve(refusal);
    });
    child.once("error", ({ message }) => {
      resolve(message);
    });
    child.once("close", () => {
      reject(new Error("the process that judged a run ended without an answer"));
    });
    child.send(request, () => undefined); // a child that cannot be written to closes
  });
}
