import { fork, type ChildProcess } from "node:child_process";
import { loadedPlugins } from "../plugins/index.js";
import type { WorkerMessage } from "./childProcess.js";
import { watchSilence } from "./silence.js";

/** Why a job has no result. */
export interface JobFailure {
  readonly reason: string;
  /** The process ended without a word, which may have to do with the machine and not with the job. */
  readonly lost: boolean;
  /** Whether a signal ended the process that was not sent from here. */
  readonly bySignal: boolean;
}

export interface ChildEvents<Job> {
  readonly onProgress: (job: Job, progress: Extract<WorkerMessage, { type: "progress" }>) => void;
  readonly onNote: (text: string) => void;
  readonly onCell: (job: Job, cell: Extract<WorkerMessage, { type: "finished" }>) => void;
}

export interface ChildOptions {
  /** A worker that says nothing for so long is taken to hang, and killed. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** The program that runs jobs. */
  readonly workerFile: string;
}

/**
 * Runs a job in a child process.
 *
 * @param idle children that wait for a job; the one that ran this job joins them if it is well
 * @returns why the job failed, or nothing
 */
export function runInChild<Job extends object>(
  job: Job,
  idle: ChildProcess[],
  events: ChildEvents<Job>,
  { silenceMs, signal, workerFile }: ChildOptions,
): Promise<JobFailure | undefined> {
  return new Promise((resolve) => {
    const child =
      idle.pop() ??
      fork(workerFile, loadedPlugins(), { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let failure: JobFailure | undefined;
    let lastWords = "";
    const kill = (reason: string) => {
      failure ??= { reason, lost: true, bySignal: false };
      child.kill("SIGKILL");
    };
    const silence = watchSilence(child.pid, {
      limitMs: silenceMs,
      onHang: () => {
        kill(
          `the worker process said nothing for ${String(silenceMs / 1000)} seconds and was killed`,
        );
      },
    });
    const abort = () => {
      kill("interrupted");
    };
    signal.addEventListener("abort", abort, { once: true });
    const listen = (chunk: Buffer) => {
      lastWords = `${lastWords}${chunk.toString()}`.slice(-2000);
    };
    const end = (outcome: JobFailure | undefined) => {
      silence.stop();
      signal.removeEventListener("abort", abort);
      child.stderr?.off("data", listen);
      for (const event of ["message", "error", "close"]) child.removeAllListeners(event);
      resolve(outcome);
    };
    child.stderr?.on("data", listen);
    child.on("message", (message: WorkerMessage) => {
      silence.heard();
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
          failure ??= { reason: message.message, lost: false, bySignal: false };
          break;
        case "done":
          end(undefined);
          if (message.takesMore && !signal.aborted) keep(idle, child);
          else if (child.connected) child.disconnect();
          break;
        default:
          message satisfies never;
      }
    });
    child.on("error", (error) => {
      failure ??= {
        reason: `the worker process could not run: ${error.message}`,
        ...{ lost: true, bySignal: false },
      };
    });
    child.on("close", (code, exitSignal) => {
      end(
        failure ?? {
          reason: describeExit(code, exitSignal, lastWords),
          ...{ lost: true, bySignal: exitSignal !== null },
        },
      );
    });
    sendJob(child, job);
  });
}

/** Keeps a child for another job; one that ends while it waits gets none. */
function keep(idle: ChildProcess[], child: ChildProcess): void {
  idle.push(child);
  child.once("close", () => {
    const index = idle.indexOf(child);
    if (index >= 0) idle.splice(index, 1);
  });
}

function sendJob(child: ChildProcess, job: object): void {
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
