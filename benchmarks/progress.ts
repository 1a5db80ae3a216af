import type { WriteStream } from "node:tty";
import pc from "picocolors";

export interface RunningCell {
  readonly label: string;
  readonly stage: string;
  readonly step?: number;
  readonly steps?: number;
  readonly loss?: number;
}

export interface Totals {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  readonly secondsLeft: number;
}

const REDRAW_MS = 200;

/**
 * Shows a run's progress on stderr: one status line that redraws itself on a terminal, one line
 * per finished cell everywhere. stdout stays free for what the command is for.
 */
export class ProgressDisplay {
  readonly #out: WriteStream | NodeJS.WriteStream;
  readonly #live: boolean;
  #lastDraw = 0;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
    this.#live = out.isTTY;
  }

  /** A permanent line. */
  line(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  /** Replaces the status line. */
  status(totals: Totals, running: Iterable<RunningCell>): void {
    const now = performance.now();
    if (!this.#live || now - this.#lastDraw < REDRAW_MS) return;
    this.#lastDraw = now;
    const cells = [...running].map(describe).join("  ");
    const text = `${describeTotals(totals)}  ${cells}`;
    this.#clear();
    this.#out.write(pc.dim(text.slice(0, Math.max(20, this.#out.columns - 1))));
  }

  end(): void {
    this.#clear();
  }

  #clear(): void {
    if (this.#live) this.#out.write("\r\u001b[2K");
  }
}

export function describeTotals({ done, total, failed, secondsLeft }: Totals): string {
  const failures = failed > 0 ? `, ${String(failed)} failed` : "";
  return `[${String(done)}/${String(total)}${failures}, ${duration(secondsLeft)} left]`;
}

function describe({ label, stage, step, steps, loss }: RunningCell): string {
  const percent =
    step !== undefined && steps !== undefined
      ? ` ${String(Math.floor((100 * step) / steps))}%`
      : "";
  return `${label}: ${stage}${percent}${loss === undefined ? "" : ` loss ${loss.toFixed(2)}`}`;
}

/** "8 s", "3 min 20 s", "2 h 05 min" */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${String(whole)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${String(minutes)} min ${String(whole % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, "0")} min`;
}
