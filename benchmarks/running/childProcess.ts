// What a child process that runs jobs says to its parent, and how it gets them.
import type { ImageProgress, TrainingProgress } from "../../pipelines/train/index.js";
import { deviceAccuracy } from "../../results/device.js";
import type { CellResult } from "../../results/schema.js";
import type { CellContext } from "../cell/index.js";
import { loadPlugins } from "../plugins/index.js";

/** Of a completed cell: of its float network, and in its backend's own arithmetic where that is known. */
export interface Accuracies {
  readonly float: number;
  readonly device: number;
}

export type WorkerMessage =
  | ({ readonly type: "progress"; readonly stage: string } & Partial<
      TrainingProgress & ImageProgress
    >)
  | {
      readonly type: "finished";
      readonly cellId: string;
      readonly state: string;
      readonly accuracy?: Accuracies;
      /** There was a result already: whether its bits are the same. */
      readonly duplicate?: "equal" | "different";
    }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "error"; readonly message: string }
  /** The job is done, and whether this process is fit for another. */
  | { readonly type: "done"; readonly takesMore: boolean };

const PROGRESS_INTERVAL_MS = 250;
/** Memory that a process may hold on to between jobs, in bytes. */
const MEMORY_FOR_MORE = 1024 ** 3;

// The parent is gone: nobody waits for this work, and another run may want the directory.
const exitOrphaned = (): never => process.exit(1);

/** Runs the jobs that the parent sends, one after the other; plugins are named by the arguments. */
export function serveJobs<Job>(run: (job: Job) => Promise<void>): void {
  const plugins = loadPlugins(process.argv.slice(2));
  plugins.catch(() => undefined); // the first job fails with its reason
  process.on("disconnect", exitOrphaned);
  process.on("message", (job: Job) => {
    plugins
      .then(() => run(job))
      .then(
        () => {
          send({ type: "done", takesMore: process.memoryUsage.rss() < MEMORY_FOR_MORE });
        },
        (error: unknown) => {
          // What failed may have left a mess behind: the next job gets a new process.
          send({ type: "error", message: describe(error) });
          process.off("disconnect", exitOrphaned);
          process.disconnect();
        },
      );
  });
}

export function send(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

/** What the parent is told of a cell's result. */
export function finished(result: CellResult): Extract<WorkerMessage, { type: "finished" }> {
  const { id: cellId, state } = result;
  return {
    ...{ type: "finished", cellId, state },
    ...(state === "completed" && {
      accuracy: { float: result.accuracy.float, device: deviceAccuracy(result) },
    }),
  };
}

export function throttledProgress(): CellContext["onProgress"] {
  let last = -Infinity;
  return (stage, progress) => {
    const now = performance.now();
    if (progress !== undefined && now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    send({ type: "progress", stage, ...progress });
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [frame] = (error.stack ?? "")
    .split("\n")
    .filter((line) => line.includes("/pipelines/") || line.includes("/algorithms/"));
  const place = frame?.trim().replace(/\(.*\/dist\//, "(");
  return place === undefined ? error.message : `${error.message} (${place})`;
}
