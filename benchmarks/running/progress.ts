import type { WriteStream } from "node:tty";
import pc from "picocolors";
import { percent, points } from "../../reports/format.js";
import { inert } from "../../reports/inert.js";
import type { Accuracies } from "./childProcess.js";

export interface RunningCell {
  readonly label: string;
  readonly stage: string;
  readonly step?: number;
  readonly steps?: number;
  readonly loss?: number;
  readonly epoch?: number;
  readonly epochs?: number;
  readonly imagesPerSecond?: number;
  /** Of the stage. */
  readonly secondsLeft?: number;
}

export interface Totals {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Infinite where nothing is known of it, as before the first cell of a queue is done. */
  readonly secondsLeft: number;
}

export interface FinishedCell {
  readonly cell: string;
  readonly state: string;
  readonly accuracy?: Accuracies | undefined;
  readonly reason?: string | undefined;
}

/**
 * How progress is shown: "auto" redraws lines on a terminal and is "lines" elsewhere; "lines" has
 * one line for each finished cell, and one for what runs when there was none for long, "json" one JSON object for each event, "none" nothing.
 */
export const PROGRESS_MODES = ["auto", "lines", "json", "none"] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** What a program that watches a run gets to read, one a line. */
export type ProgressEvent =
  | ({ readonly event: "progress"; readonly running: readonly RunningCell[] } & Totals)
  | ({
      readonly event: "cell";
    } & FinishedCell &
      Totals)
  | ({ readonly event: "pretrained"; readonly label: string } & Totals)
  | { readonly event: "note"; readonly text: string };

const REDRAW_MS = 200;
/** Watching programs need no more than this. */
const JSON_PROGRESS_MS = 2000;
/** Where lines stay, one says what runs when there was none for so long. */
const HEARTBEAT_MS = 60_000;

/** Shows a run's progress on stderr; stdout stays free for what the command is for. */
export class ProgressDisplay {
  readonly #out: WriteStream | NodeJS.WriteStream;
  readonly #mode: Exclude<ProgressMode, "auto"> | "live";
  #lastDraw = -Infinity;
  #lastLine = performance.now();
  #drawnLines = 0;

  constructor(mode: ProgressMode, out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
    this.#mode = mode !== "auto" ? mode : out.isTTY ? "live" : "lines";
  }

  note(text: string): void {
    if (this.#mode === "json") this.#json({ event: "note", text });
    else this.#line(text);
  }

  pretrained(totals: Totals, label: string): void {
    if (this.#mode === "json") this.#json({ event: "pretrained", label, ...totals });
    else this.#line(`${describeTotals(totals)} ${label}: done`);
  }

  cell(totals: Totals, finished: FinishedCell): void {
    if (this.#mode === "json") this.#json({ event: "cell", ...finished, ...totals });
    else {
      const { cell, state, accuracy, reason } = finished;
      const outcome =
        accuracy === undefined
          ? state
          : `${percent(accuracy.device)} % (${points(accuracy.float - accuracy.device)})`;
      const why = reason === undefined ? "" : `: ${reason}`;
      this.#line(`${describeTotals(totals)} ${cell}: ${outcome}${why}`);
    }
  }

  /** What is going on; shown no more often than someone can read. */
  status(totals: () => Totals, running: Iterable<RunningCell>): void {
    const now = performance.now();
    const mode = this.#mode;
    if (mode === "none") return;
    const interval = { json: JSON_PROGRESS_MS, live: REDRAW_MS, lines: HEARTBEAT_MS }[mode];
    if (now - (mode === "lines" ? this.#lastLine : this.#lastDraw) < interval) return;
    this.#lastDraw = now;
    if (mode === "json") {
      this.#json({ event: "progress", ...totals(), running: [...running] });
      return;
    }
    if (mode === "lines") {
      this.#line(`${describeTotals(totals())} ${[...running].map(describe).join("; ")}`);
      return;
    }
    this.end();
    const width = Math.max(20, this.#out.columns - 1);
    const lines = [describeTotals(totals()), ...[...running].map((cell) => `  ${describe(cell)}`)];
    this.#out.write(lines.map((line) => `${pc.dim(inert(line).slice(0, width))}\n`).join(""));
    this.#drawnLines = lines.length;
  }

  /** Takes the redrawn lines away. */
  end(): void {
    if (this.#drawnLines === 0) return;
    this.#out.write(`\u001b[${String(this.#drawnLines)}F\u001b[0J`);
    this.#drawnLines = 0;
  }

  /** A line that stays. */
  #line(text: string): void {
    if (this.#mode === "none") return;
    this.end();
    this.#lastLine = performance.now();
    this.#out.write(`${inert(text)}\n`);
  }

  #json(event: ProgressEvent): void {
    this.#out.write(`${JSON.stringify(event)}\n`);
  }
}

function describeTotals({ done, total, failed, secondsLeft }: Totals): string {
  const failures = failed > 0 ? `, ${String(failed)} failed` : "";
  const left = Number.isFinite(secondsLeft) ? `, ${duration(secondsLeft)} left` : "";
  return `[${String(done)}/${String(total)}${failures}${left}]`;
}

function describe(cell: RunningCell): string {
  const { label, stage, step, steps, loss, epoch, epochs, imagesPerSecond, secondsLeft } = cell;
  const parts = [
    ...(step !== undefined && steps !== undefined
      ? [`${String(Math.floor((100 * step) / steps))} %`]
      : []),
    ...(epoch !== undefined && epochs !== undefined
      ? [`epoch ${epoch.toFixed(1)} of ${String(epochs)}`]
      : []),
    // A search has no loss before it has tried something: NaN, which messages between processes cannot hold.
    ...(Number.isFinite(loss ?? NaN) ? [`loss ${(loss ?? NaN).toFixed(3)}`] : []),
    ...(imagesPerSecond === undefined ? [] : [`${rate(imagesPerSecond)} images/s`]),
    ...(secondsLeft === undefined ? [] : [`${duration(secondsLeft)} left`]),
  ];
  return `${label}: ${stage}${parts.length > 0 ? ` ${parts.join(", ")}` : ""}`;
}

/** Large networks take seconds for an image. */
const rate = (perSecond: number): string => perSecond.toFixed(perSecond < 10 ? 1 : 0);

/** "8 s", "3 min 20 s", "2 h 05 min" */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${String(whole)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${String(minutes)} min ${String(whole % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, "0")} min`;
}
