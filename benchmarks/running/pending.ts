import { cellName, type RunDirectory } from "../../results/store.js";
import type { Cell } from "../planning/index.js";
import { Forecast } from "./forecast.js";
import { shareDone } from "./jobProgress.js";
import { ProgressDisplay, type RunningCell, type Totals } from "./progress.js";
import { jobCost, makeJobs, type Plan, type RunOptions } from "./run.js";
import { runJobs, type ScheduledJob, type SchedulerEvents } from "./scheduler.js";

interface Execution {
  readonly directory: RunDirectory;
  readonly options: RunOptions;
  readonly signal: AbortSignal;
}

/** How often what runs is looked at, also while no process says anything. */
const LOOK_MS = 1000;

/** Runs the cells that have no result yet; where time is limited, those that fit. */
export async function runPending(
  plan: Plan,
  pending: readonly Cell[],
  { directory, options, signal }: Execution,
): Promise<void> {
  const jobs = makeJobs(plan, pending, options.out, {
    stages: await directory.stages(),
    parallel: options.jobs,
    inGivenOrder: options.seconds !== undefined,
  });
  const progress = new RunProgress(plan, jobs, {
    directory,
    options,
    finishedBefore: plan.cells.length - pending.length,
  });
  const deadline =
    options.seconds === undefined ? [] : [AbortSignal.timeout(options.seconds * 1000)];
  const looking = setInterval(() => {
    progress.show();
  }, LOOK_MS);
  try {
    await runJobs(jobs, progress, {
      parallel: options.jobs,
      silenceMs: options.hangSeconds * 1000,
      signal: AbortSignal.any([signal, ...deadline]),
      mayStart: (job) => progress.fits(job),
    });
  } finally {
    clearInterval(looking);
    progress.end();
  }
}

/** Follows the jobs of a run: shows them, foretells their end, records what failed. */
class RunProgress implements SchedulerEvents {
  readonly #plan: Plan;
  readonly #directory: RunDirectory;
  readonly #finishedBefore: number;
  readonly #display: ProgressDisplay;
  readonly #forecast: Forecast;
  readonly #deadlineMs: number;
  readonly #running = new Map<string, RunningCell>();
  /** Cells that have a result now. */
  readonly #written = new Set<string>();
  #failed = 0;

  constructor(
    plan: Plan,
    jobs: readonly ScheduledJob[],
    {
      directory,
      options,
      finishedBefore,
    }: {
      readonly directory: RunDirectory;
      readonly options: RunOptions;
      readonly finishedBefore: number;
    },
  ) {
    this.#plan = plan;
    this.#directory = directory;
    this.#finishedBefore = finishedBefore;
    this.#display = new ProgressDisplay(options.progress);
    this.#deadlineMs = performance.now() + 1000 * (options.seconds ?? Infinity);
    this.#forecast = new Forecast(
      jobs.map((job) => ({ ...job, cost: jobCost(plan, job) })),
      options.jobs,
    );
    if (finishedBefore > 0)
      this.#display.note(
        `${String(finishedBefore)} of ${String(plan.cells.length)} cells are finished already`,
      );
  }

  /** Whether a job will probably end in time. */
  readonly fits = (job: ScheduledJob): boolean => {
    const { kind, id } = job;
    const seconds = this.#forecast.secondsOf({ id, kind, cost: jobCost(this.#plan, job) });
    return performance.now() + 1000 * seconds <= this.#deadlineMs;
  };

  readonly onStart = (job: ScheduledJob): void => {
    this.#forecast.start(job.id);
    this.#running.set(job.id, { label: labelOf(job), stage: "starting" });
    this.show();
  };

  readonly onProgress: SchedulerEvents["onProgress"] = (job, { type: _, ...progress }) => {
    this.#running.set(job.id, { label: labelOf(job), ...progress });
    const { stage, step, steps } = progress;
    const training = step === undefined || steps === undefined ? undefined : step / steps;
    this.#forecast.progress(job.id, shareDone(job, this.#finishedOf(job), { stage, training }));
    this.show();
  };

  readonly onNote = (text: string): void => {
    this.#display.note(text);
  };

  readonly onCell: SchedulerEvents["onCell"] = (job, { cellId, state, accuracy }) => {
    this.#written.add(cellId);
    this.#forecast.progress(job.id, shareDone(job, this.#finishedOf(job), { stage: "starting" }));
    const cell = job.cells.find(({ id }) => id === cellId);
    this.#display.cell(this.#totals(), { cell: cell ? cellName(cell) : cellId, state, accuracy });
  };

  readonly onEnd: SchedulerEvents["onEnd"] = async (job, failure) => {
    this.#running.delete(job.id);
    this.#forecast.end(job.id, failure === undefined);
    if (failure === undefined) {
      if (job.kind === "pretrain") this.#display.pretrained(this.#totals(), labelOf(job));
      return;
    }
    if (job.kind === "pretrain") return; // the cells that wait for it fail with its reason
    for (const cell of job.cells.filter(({ id }) => !this.#written.has(id))) {
      this.#failed += 1;
      this.#written.add(cell.id);
      const { id, config } = cell;
      await this.#directory.writeCell({ id, config, state: "failed", reason: failure });
      this.#display.cell(this.#totals(), {
        ...{ cell: cellName(cell), state: "failed", reason: failure },
      });
    }
  };

  show(): void {
    this.#display.status(() => this.#totals(), this.#running.values());
  }

  end(): void {
    this.#display.end();
  }

  #finishedOf = ({ cells }: ScheduledJob): number =>
    cells.filter(({ id }) => this.#written.has(id)).length;

  #totals(): Totals {
    return {
      done: this.#finishedBefore + this.#written.size,
      total: this.#plan.cells.length,
      failed: this.#failed,
      secondsLeft: Math.min(
        this.#forecast.secondsLeft(),
        Math.max(0, (this.#deadlineMs - performance.now()) / 1000),
      ),
    };
  }
}

function labelOf({ kind, cells }: ScheduledJob): string {
  const [first] = cells;
  if (first === undefined) return kind;
  const { model, algorithm, backend, bits, seed } = first.config;
  const base = `${model.name}-w${String(model.width)}`;
  if (kind === "pretrain") return `${base} seed ${String(seed)} in float`;
  return `${base} ${algorithm.name} ${backend.name} w${String(bits.weights)}a${String(bits.activations)}`;
}
