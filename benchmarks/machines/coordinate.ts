import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { engineIdentity, loadEngine } from "../../pipelines/engine/index.js";
import type { CellResult } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import type { Cell } from "../planning/index.js";
import {
  describeEnvironment,
  finished,
  type Plan,
  ProgressDisplay,
  type RunOptions,
  writeDescription,
} from "../running/index.js";
import { isAborted } from "./aborted.js";
import { codeVersion } from "./codeVersion.js";
import { ensureJobs, isPretraining } from "./ensureJobs.js";
import { recordFailure } from "./failures.js";
import { patient } from "./patientStore.js";
import { cellJobId, queueJobs, queueName } from "./queueJobs.js";
import { connect, shownUrl } from "./redis.js";
import { Registry } from "./registry.js";
import {
  bytesOf,
  cellKey,
  modelKey,
  networkKey,
  pathIn,
  publishEnvironment,
  publishResult,
  readResult,
} from "./results.js";
import { RunQueue } from "./runQueue.js";
import type { Announcement, QueuedJob } from "./schema.js";
import { openStore } from "./openStore.js";
import { identityOf, type Store } from "./store.js";
import { secondsLeft } from "./status.js";

/** How often results are looked for, and how often it is made sure that every cell has a job. */
const LOOK_MS = 1000;
const ENSURE_MS = 30_000;

/** Where machines meet. */
export interface Meeting {
  readonly queue: string;
  readonly store: string;
}

/**
 * Puts a plan's cells on a queue and waits until each has a result in the store. It may stop at any
 * time and come again: workers go on without it.
 *
 * @returns every stored result of the matrix, in its order, as it lies in the run directory
 * @throws Error when it is interrupted, or the queue or the store cannot be reached at the start
 */
export async function executeOnQueue(
  plan: Plan,
  options: RunOptions & { readonly meeting: Meeting },
  signal: AbortSignal,
): Promise<CellResult[]> {
  const display = new ProgressDisplay(options.progress);
  const note = (text: string) => {
    display.note(text);
  };
  const store = patient(openStore(options.meeting.store), note);
  await store.check();
  const redis = await connect(options.meeting.queue, note);
  // Nobody who wants to stop waits for a server that is away.
  signal.addEventListener("abort", () => {
    redis.disconnect();
  });
  const coordinator = await Coordinator.begin(plan, options, { store, redis, display });
  try {
    await coordinator.untilDone(signal);
    if (signal.aborted)
      throw new Error("interrupted; workers go on, and the same command looks after them again");
    return await coordinator.finish();
  } finally {
    display.end();
    await coordinator.close();
    redis.disconnect();
  }
}

/** Of the cells among some jobs; float trainings do not count, since several cells share one. */
const costOf = (jobs: readonly QueuedJob[]): number =>
  jobs.reduce((sum, { data }) => sum + (data.kind === "cell" ? data.cost : 0), 0);

type Redis = Awaited<ReturnType<typeof connect>>;

interface Parts {
  readonly plan: Plan;
  readonly store: Store;
  readonly display: ProgressDisplay;
  /** What the run is collected in. */
  readonly directory: RunDirectory;
  readonly announcement: Announcement;
  readonly origin: string;
  readonly queue: RunQueue;
  readonly registry: Registry;
  readonly jobs: readonly QueuedJob[];
}

class Coordinator {
  readonly #parts: Parts;
  /** Cells without a result, by the name of its object. */
  readonly #missing: Map<string, Cell>;
  #failed = 0;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#missing = new Map(parts.plan.cells.map((cell) => [cellKey(cell), cell]));
  }

  static async begin(
    plan: Plan,
    options: RunOptions & { readonly meeting: Meeting },
    {
      store,
      redis,
      display,
    }: { readonly store: Store; readonly redis: Redis; readonly display: ProgressDisplay },
  ): Promise<Coordinator> {
    const directory = new RunDirectory(options.out);
    await directory.create();
    await writeDescription(directory, plan, options);
    const origin = await publishEnvironment(store, await describeEnvironment());
    const code = await codeVersion();
    const runnable = plan.cells.filter(({ unsupported }) => unsupported === undefined);
    const jobs = queueJobs(plan, runnable, code);
    const announcement: Announcement = {
      ...{ name: plan.matrix.name, title: plan.matrix.title, code },
      ...{ engine: plan.engine, lowering: plan.lowering },
      engineIdentity: engineIdentity(await loadEngine(plan.engine, plan.lowering)),
      ...{ dataset: plan.matrix.dataset, datasetChecksum: plan.dataset.checksum },
      store: await identityOf(store, randomUUID()),
      cells: plan.cells.length,
      cost: costOf(jobs),
    };
    const name = queueName(announcement);
    const coordinator = new Coordinator({
      ...{ plan, store, display, directory, announcement, origin, jobs },
      queue: new RunQueue(redis, name),
      registry: new Registry(redis),
    });
    await coordinator.#start(shownUrl(options.meeting.queue));
    return coordinator;
  }

  async #start(server: string): Promise<void> {
    const { plan, store, queue, registry, announcement, display } = this.#parts;
    await this.#publishDescription();
    for (const cell of plan.cells)
      if (cell.unsupported !== undefined) await this.#recordUnsupported(cell, cell.unsupported);
    const ended = await queue.endedIds(); // before results are looked for: what has ended has one
    await this.#collect({ atStart: true });
    const missing = [...this.#missing.values()].map(({ id }) => id);
    const waiting = new Set(missing.map(cellJobId));
    // What ended without a result, or for a training that is not there, may run again.
    const again = [...ended].filter((id) => waiting.has(id) || isPretraining(id));
    await queue.forget(again);
    await registry.announce(queue.name, announcement);
    await registry.unrecord(queue.name, missing);
    await this.#recordEarlier();
    await this.#ensureJobs();
    const known = `${String(plan.cells.length - missing.length)} of ${String(plan.cells.length)} cells have a result`;
    display.note(
      missing.length === 0
        ? known
        : `${known}; the others wait at ${server} for workers: quantbench worker --queue ... --store ${store.location}`,
    );
  }

  /** What a report needs to know beside results, and networks that workers need. */
  async #publishDescription(): Promise<void> {
    const { plan, store, origin, directory } = this.#parts;
    const files = ["run.json", "environment.json", "matrix.yaml"];
    const networks = plan.ownNetworks.map(({ checksum }) => networkKey(checksum));
    for (const key of [...files, ...networks])
      await store.replace(key, await readFile(pathIn(directory.path, key)), origin);
  }

  async #recordEarlier(): Promise<void> {
    const { plan, queue, registry, jobs } = this.#parts;
    const done = plan.cells.filter((cell) => !this.#missing.has(cellKey(cell)));
    const ids = new Set(done.map(({ id }) => id));
    const cost = costOf(jobs.filter(({ data }) => ids.has(data.cellId)));
    await registry.recordEarlier(queue.name, { ids: [...ids], cost });
  }

  readonly #note = (text: string): void => {
    this.#parts.display.note(text);
  };

  /** Whether results are collected in the store itself. */
  #isCollected(): boolean {
    return resolve(this.#parts.directory.path) === this.#parts.store.location;
  }

  async #recordUnsupported({ id, config }: Cell, reason: string): Promise<void> {
    const { store, origin } = this.#parts;
    const result: CellResult = { id, config, state: "unsupported", reason };
    const bytes = bytesOf(result);
    await publishResult(store, { result, bytes, origin }, this.#note);
  }

  async untilDone(signal: AbortSignal): Promise<void> {
    let ensured = performance.now();
    while (this.#missing.size > 0 && !signal.aborted) {
      const looked = performance.now();
      try {
        await this.#collect({});
        await this.#show();
        if (performance.now() - ensured > ENSURE_MS) {
          await this.#ensureJobs();
          ensured = performance.now();
        }
      } catch (error) {
        // A server that cannot write just now may later; results do not depend on it.
        if (!isAborted(signal))
          this.#note(`the queue: ${(error as Error).message}; it is tried again`);
      }
      if (this.#missing.size === 0) return;
      // A store that answers slowly is not asked all the time.
      const pause = Math.max(LOOK_MS, 5 * (performance.now() - looked));
      await sleep(pause, undefined, { signal }).catch(() => undefined); // aborted
    }
  }

  /** Takes results from the store that have arrived. */
  async #collect({ atStart = false }): Promise<void> {
    const { store, directory, display } = this.#parts;
    for (const name of await store.list("cells")) {
      const key = `cells/${name}`;
      const cell = this.#missing.get(key);
      if (cell === undefined) continue;
      const found = await readResult(store, key, this.#note);
      if (found === undefined || (atStart && found.result.state === "failed")) {
        await store.remove(key); // what failed may work next time
        continue;
      }
      if (!this.#isCollected()) {
        await this.#copy(modelKey(cell));
        await writeAtomically(pathIn(directory.path, key), found.bytes);
      }
      this.#missing.delete(key);
      const { result } = found;
      if (result.state === "failed") this.#failed += 1;
      const { accuracy } = finished(result);
      if (atStart) continue; // it was there before
      display.cell(await this.#totals(), {
        ...{ cell: cellName(cell), state: result.state, accuracy },
        ...(result.state === "failed" && { reason: result.reason }),
      });
      if (this.#missing.size === 0) return;
    }
  }

  async #copy(key: string): Promise<void> {
    const { store, directory } = this.#parts;
    const found = await store.get(key);
    if (found === undefined) return; // cells that did not converge have no model
    if ("broken" in found) this.#note(`${store.location}: ${key} ${found.broken}; it is left out`);
    else await writeAtomically(pathIn(directory.path, key), found.bytes);
  }

  /** Makes sure that whatever has no result has a job, also after the server has lost everything. */
  async #ensureJobs(): Promise<void> {
    const { queue, registry, announcement, jobs, store, origin } = this.#parts;
    if (!(await registry.isAnnounced(queue.name))) {
      await registry.announce(queue.name, announcement);
      await this.#recordEarlier();
    }
    for (const { job, reason } of await queue.failures()) {
      await recordFailure(job, reason, { store, registry, queue, origin, onNote: this.#note });
      await queue.forget([job.id]);
    }
    const ended = await queue.endedIds(); // before results are looked for: what has ended has one
    await this.#collect({});
    const missing = [...this.#missing.values()];
    const lost = missing.map(({ id }) => cellJobId(id)).filter((id) => ended.has(id));
    await queue.forget(lost); // their results were broken or taken away
    await ensureJobs(queue, jobs, { missing, store });
  }

  async #totals() {
    const { plan, queue, registry, announcement } = this.#parts;
    const tally = await registry.tally(queue.name);
    return {
      done: plan.cells.length - this.#missing.size,
      total: plan.cells.length,
      failed: this.#failed,
      secondsLeft: secondsLeft(tally, announcement),
    };
  }

  async #show(): Promise<void> {
    const { registry, queue, display } = this.#parts;
    const workers = await registry.workers();
    const totals = await this.#totals();
    const running = [...workers.values()].flatMap((worker) =>
      worker.running
        .filter((job) => job.queue === queue.name)
        .map(({ label, stage }) => ({ label: `${worker.host} ${label}`, stage })),
    );
    display.status(() => totals, running);
  }

  async finish(): Promise<CellResult[]> {
    const { directory, plan, queue, registry } = this.#parts;
    const stored = await directory.readCells();
    const results = plan.allCells.flatMap(({ id }) => stored.get(id) ?? []);
    await directory.writeTables(results);
    const { different, equal } = await registry.tally(queue.name);
    if (equal > 0) this.#note(`${String(equal)} results came twice, with the same bits`);
    if (different > 0)
      this.#note(
        `${String(different)} results came twice, with OTHER bits; see disputes/ in the store`,
      );
    const { waiting, active, held } = await queue.counts();
    if (waiting + active + held > 0) return results; // others wait for more of the run
    await registry.withdraw(queue.name);
    await queue.obliterate();
    return results;
  }

  async close(): Promise<void> {
    await this.#parts.queue.close();
  }
}
