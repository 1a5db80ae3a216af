import { SECONDS_PER_COST } from "../planning/index.js";

/** A job as far as its time matters. */
export interface CostedJob {
  readonly id: string;
  readonly kind: string;
  /** In any unit. */
  readonly cost: number;
  /** The job that must end first. */
  readonly after?: string;
}

interface Running {
  readonly job: CostedJob;
  readonly since: number;
  /** Part of its cost that is done, 0 to 1. */
  share: number;
}

/** From so large a part on, a job's own pace says more than that of others. */
const TELLING_SHARE = 0.05;

/** Foretells when jobs end, in the order of the list, from what those that ran and run have taken. */
export class Forecast {
  readonly #parallel: number;
  readonly #now: () => number;
  readonly #waiting: Map<string, CostedJob>;
  readonly #running = new Map<string, Running>();
  /** Seconds and cost of what has ended, by kind. */
  readonly #measured = new Map<string, { seconds: number; cost: number }>();

  /** @param now seconds of any clock */
  constructor(jobs: readonly CostedJob[], parallel: number, now = () => performance.now() / 1000) {
    this.#parallel = parallel;
    this.#now = now;
    this.#waiting = new Map(jobs.map((job) => [job.id, job]));
  }

  start(id: string): void {
    const job = this.#waiting.get(id);
    if (job === undefined) return;
    this.#waiting.delete(id);
    this.#running.set(id, { job, since: this.#now(), share: 0 });
  }

  progress(id: string, share: number): void {
    const running = this.#running.get(id);
    if (running !== undefined) running.share = Math.max(running.share, Math.min(1, share));
  }

  /** @param succeeded what failed says nothing about the time that others need */
  end(id: string, succeeded: boolean): void {
    this.#waiting.delete(id);
    const running = this.#running.get(id);
    this.#running.delete(id);
    if (running === undefined || !succeeded) return;
    const { kind, cost } = running.job;
    const known = this.#measured.get(kind) ?? { seconds: 0, cost: 0 };
    this.#measured.set(kind, {
      seconds: known.seconds + this.#now() - running.since,
      cost: known.cost + cost,
    });
  }

  /** Of a job that waits. */
  secondsOf({ kind, cost }: CostedJob): number {
    return cost * this.#rate(kind);
  }

  /** Until everything has ended. */
  secondsLeft(): number {
    const free = Array.from({ length: this.#parallel }, () => 0);
    const ends = new Map<string, number>();
    [...this.#running.values()].forEach((running, i) => {
      const left = this.#leftOf(running);
      free[i] = left;
      ends.set(running.job.id, left);
    });
    for (const job of this.#waiting.values()) {
      let first = 0;
      for (let i = 1; i < free.length; i++) if ((free[i] ?? 0) < (free[first] ?? 0)) first = i;
      const ready = job.after === undefined ? 0 : (ends.get(job.after) ?? 0);
      const end = Math.max(free[first] ?? 0, ready) + this.secondsOf(job);
      free[first] = end;
      ends.set(job.id, end);
    }
    return Math.max(0, ...free);
  }

  #leftOf({ job, since, share }: Running): number {
    const elapsed = this.#now() - since;
    if (share >= TELLING_SHARE) return (elapsed * (1 - share)) / share;
    return Math.max(0, this.secondsOf(job) - elapsed);
  }

  /** Seconds per cost, of the same kind of jobs if there were any. */
  #rate(kind: string): number {
    const sum = (kinds: readonly { seconds: number; cost: number }[]) =>
      kinds.reduce((a, b) => ({ seconds: a.seconds + b.seconds, cost: a.cost + b.cost }), {
        seconds: 0,
        cost: 0,
      });
    const running = [...this.#running.values()]
      .filter(({ share }) => share >= TELLING_SHARE)
      .map(({ job, since, share }) => ({
        kind: job.kind,
        seconds: this.#now() - since,
        cost: share * job.cost,
      }));
    const ended = [...this.#measured].map(([of, known]) => ({ kind: of, ...known }));
    const all = [...ended, ...running];
    const same = sum(all.filter((known) => known.kind === kind));
    if (same.cost > 0) return same.seconds / same.cost;
    const other = sum(all);
    return other.cost > 0 ? other.seconds / other.cost : SECONDS_PER_COST;
  }
}
