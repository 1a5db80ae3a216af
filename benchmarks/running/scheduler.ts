import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ChildEvents, runInChild } from "./child.js";
import type { Job } from "./worker.js";

export interface ScheduledJob extends Job {
  readonly id: string;
  /** The job that must succeed first. */
  readonly after?: string;
}

export interface SchedulerEvents extends ChildEvents<ScheduledJob> {
  readonly onStart: (job: ScheduledJob) => void;
  /** `failure` says why the job did not succeed; its unfinished cells have no result yet. */
  readonly onEnd: (job: ScheduledJob, failure: string | undefined) => Promise<void>;
}

export interface SchedulerOptions {
  /** Processes at a time. */
  readonly parallel: number;
  /** A worker that says nothing for so long is taken to hang, and killed. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** Jobs that it refuses are left out, unless it changes its mind. */
  readonly mayStart?: (job: ScheduledJob) => boolean;
  /** The program that runs a job; tests put others here. */
  readonly workerFile?: string;
}

const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));

/**
 * Runs jobs in child processes, one after the other in each as long as they succeed: starting one
 * costs as much as a short training. A job whose worker a signal ended, as where memory runs out or somebody
 * kills it, is tried once more. One whose predecessor failed fails with the same reason; one that crashes,
 * hangs or is killed again fails alone. Resolves when every job has ended, or, once the
 * signal is aborted, when the children are gone.
 */
export async function runJobs(
  jobs: readonly ScheduledJob[],
  events: SchedulerEvents,
  options: SchedulerOptions,
): Promise<void> {
  const waiting = [...jobs];
  const outcomes = new Map<string, string | undefined>(); // ended jobs: failure or undefined
  const running = new Set<Promise<void>>();
  const idle: ChildProcess[] = [];

  while (waiting.length > 0 || running.size > 0) {
    while (running.size < options.parallel && !options.signal.aborted) {
      const index = waiting.findIndex(
        (job) =>
          (job.after === undefined || outcomes.has(job.after)) && options.mayStart?.(job) !== false,
      );
      const [job] = index < 0 ? [] : waiting.splice(index, 1);
      if (job === undefined) break;
      const task = runOne(job).finally(() => running.delete(task));
      running.add(task);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  for (const child of idle) child.disconnect();

  async function runOne(job: ScheduledJob): Promise<void> {
    const blocked = job.after === undefined ? undefined : outcomes.get(job.after);
    if (blocked === undefined) events.onStart(job);
    const failure = blocked ?? (await withSecondTry(job));
    outcomes.set(job.id, failure);
    if (!options.signal.aborted) await events.onEnd(job, failure);
  }

  async function withSecondTry(job: ScheduledJob): Promise<string | undefined> {
    const child = { ...options, workerFile: options.workerFile ?? WORKER };
    const finished = new Set<string>();
    const watching: SchedulerEvents = {
      ...events,
      onCell: (of, cell) => {
        finished.add(cell.cellId);
        events.onCell(of, cell);
      },
    };
    const first = await runInChild(job, idle, watching, child);
    if (first?.bySignal !== true || options.signal.aborted) return first?.reason;
    events.onNote(`${first.reason}; its work is tried once more`);
    const cells = job.cells.filter(({ id }) => !finished.has(id));
    // It ended with its last cell.
    if (job.kind === "cells" && cells.length === 0 && job.cells.length > 0) return undefined;
    return (await runInChild({ ...job, cells }, idle, events, child))?.reason;
  }
}
