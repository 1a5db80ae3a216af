import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { loadedPlugins } from "../plugins/index.js";
import type { Job, WorkerMessage } from "./worker.js";

export interface ScheduledJob extends Job {
  readonly id: string;
  /** The job that must succeed first. */
  readonly after?: string;
}

export interface SchedulerEvents {
  readonly onStart: (job: ScheduledJob) => void;
  readonly onProgress: (
    job: ScheduledJob,
    progress: Extract<WorkerMessage, { type: "progress" }>,
  ) => void;
  readonly onNote: (text: string) => void;
  readonly onCell: (job: ScheduledJob, cell: Extract<WorkerMessage, { type: "finished" }>) => void;
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

/** Timers that are to wait for longer, 25 days, would end at once: their milliseconds have 31 bits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
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
    const finished = new Set<string>();
    const watching: SchedulerEvents = {
      ...events,
      onCell: (of, cell) => {
        finished.add(cell.cellId);
        events.onCell(of, cell);
      },
    };
    const first = await runInChild(job, idle, watching, options);
    if (first?.bySignal !== true || options.signal.aborted) return first?.reason;
    events.onNote(`${first.reason}; its work is tried once more`);
    const cells = job.cells.filter(({ id }) => !finished.has(id));
    // It ended with its last cell.
    if (job.kind === "cells" && cells.length === 0 && job.cells.length > 0) return undefined;
    return (await runInChild({ ...job, cells }, idle, events, options))?.reason;
  }
}

interface Failure {
  readonly reason: string;
  /** Whether a signal ended the process that was not sent from here. */
  readonly bySignal: boolean;
}

/**
 * @param idle children that wait for a job; the one that ran this job joins them if it is well
 * @returns why the job failed, or nothing
 */
function runInChild(
  job: ScheduledJob,
  idle: ChildProcess[],
  events: SchedulerEvents,
  { silenceMs: wanted, signal, workerFile = WORKER }: SchedulerOptions,
): Promise<Failure | undefined> {
  const silenceMs = Math.min(wanted, LONGEST_TIMER_MS);
  return new Promise((resolve) => {
    const child =
      idle.pop() ??
      fork(workerFile, loadedPlugins(), { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let failure: string | undefined;
    let lastWords = "";
    const kill = (reason: string) => {
      failure ??= reason;
      child.kill("SIGKILL");
    };
    const hangs = () => {
      kill(
        `the worker process said nothing for ${String(silenceMs / 1000)} seconds and was killed`,
      );
    };
    let silence = setTimeout(hangs, silenceMs);
    const abort = () => {
      kill("interrupted");
    };
    signal.addEventListener("abort", abort, { once: true });
    const listen = (chunk: Buffer) => {
      lastWords = `${lastWords}${chunk.toString()}`.slice(-2000);
    };
    const end = (outcome: Failure | undefined) => {
      clearTimeout(silence);
      signal.removeEventListener("abort", abort);
      child.stderr?.off("data", listen);
      for (const event of ["message", "error", "close"]) child.removeAllListeners(event);
      resolve(outcome);
    };
    child.stderr?.on("data", listen);
    child.on("message", (message: WorkerMessage) => {
      clearTimeout(silence);
      silence = setTimeout(hangs, silenceMs);
      switch (message.type) {
        case "progress":
          events.onProgress(job, message);
          break;
        case "finished":
          events.onCell(job, message);
          break;
        case "note":
          events.onNote(message.text);
          break;
        case "error":
          failure ??= message.message;
          break;
        case "done":
          end(undefined);
          if (message.takesMore && !signal.aborted) {
            idle.push(child);
            child.once("close", () => {
              const index = idle.indexOf(child);
              if (index >= 0) idle.splice(index, 1);
            });
          } else if (child.connected) child.disconnect();
          break;
        default:
          message satisfies never;
      }
    });
    child.on("error", (error) => {
      failure ??= `the worker process could not run: ${error.message}`;
    });
    child.on("close", (code, exitSignal) => {
      end({
        reason: failure ?? describeExit(code, exitSignal, lastWords),
        bySignal: failure === undefined && exitSignal !== null,
      });
    });
    sendJob(child, job);
  });
}

function sendJob(child: ChildProcess, job: ScheduledJob): void {
  child.send(job, (error) => {
    if (error !== null) child.kill("SIGKILL");
  });
}

function describeExit(
  code: number | null,
  signal: NodeJS.Signals | null,
  lastWords: string,
): string {
  const how = signal === null ? `with exit code ${String(code)}` : `by ${signal}`;
  const memory = signal === "SIGKILL" || /heap out of memory|bad_alloc/.test(lastWords);
  const hint = memory ? ", probably for lack of memory" : "";
  const lines = lastWords.split("\n").filter((line) => /error|fatal|exception/i.test(line));
  const words = lines[0] === undefined ? "" : `: ${lines[0].trim()}`;
  return `the worker process ended ${how}${hint}${words}`;
}
