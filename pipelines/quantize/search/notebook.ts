import type { Note, Policy } from "../../../algorithms/laboratory.js";

/** A policy that was tried, and what it scored. */
export interface TraceLine extends Note {
  /** In the unit of the budget. */
  readonly cost: number;
  /** Image visits up to here. */
  readonly visits: number;
}

interface KeptRounds {
  readonly done: number;
  readonly state: unknown;
  readonly visits: number;
  readonly lines: number;
}

/** A search between two rounds: plain data, what it takes to go on with the same bits. */
export interface SearchState {
  readonly rounds: Readonly<Record<string, KeptRounds>>;
  readonly trace: readonly TraceLine[];
  /** What was measured, by what was measured: another time it may be another number. */
  readonly measured?: Readonly<Record<string, number>>;
}

/** Keeps a search while it goes on, so that what ends it costs little. */
export interface SearchKeeper {
  readonly found: SearchState | undefined;
  /** Told after every round; writes the state down when enough was done since the last time. */
  keep(state: () => SearchState): Promise<void>;
}

/** What a search has done: visits, trace, and where its rounds are. */
export class Notebook {
  readonly allowed: number;
  /** Told of every line of the trace and of every visit. */
  readonly #onChange: (used: number, last: TraceLine | undefined) => void;
  readonly #keeper: SearchKeeper | undefined;
  readonly #rounds: Record<string, KeptRounds>;
  readonly #measured: Record<string, number>;
  #visits = 0;
  #trace: TraceLine[] = [];

  constructor(
    allowed: number,
    keeper: SearchKeeper | undefined,
    onChange: (used: number, last: TraceLine | undefined) => void,
  ) {
    this.allowed = allowed;
    this.#keeper = keeper;
    this.#onChange = onChange;
    this.#rounds = { ...keeper?.found?.rounds };
    this.#measured = { ...keeper?.found?.measured };
  }

  get visits(): number {
    return this.#visits;
  }

  get trace(): readonly TraceLine[] {
    return this.#trace;
  }

  /** @throws RangeError when more images are visited than are allowed */
  visit(images: number): void {
    if (this.#visits + images > this.allowed)
      throw new RangeError(
        `a search may visit ${String(this.allowed)} images and has visited ${String(this.#visits)}: ${String(images)} more are too many`,
      );
    this.#visits += images;
    this.#onChange(this.#visits, this.#trace.at(-1));
  }

  write(line: Note, cost: number): void {
    this.#trace.push({ ...line, policy: sorted(line.policy), cost, visits: this.#visits });
    this.#onChange(this.#visits, this.#trace.at(-1));
  }

  /** A number that is measured once: a search that goes on finds the same. */
  once(what: string, measure: () => number): number {
    return (this.#measured[what] ??= measure());
  }

  async rounds<State>(
    name: string,
    first: () => State | Promise<State>,
    options: {
      readonly most: number;
      readonly done?: (state: State) => boolean;
      readonly round: (state: State, index: number) => Promise<State>;
    },
  ): Promise<State> {
    const found = this.#rounds[name];
    if (found !== undefined) {
      // What came before these rounds was done again; what they did themselves was not.
      this.#visits = found.visits;
      this.#trace = [...(this.#keeper?.found?.trace ?? []).slice(0, found.lines)];
    }
    let state = found === undefined ? await first() : (found.state as State);
    for (let index = found?.done ?? 0; index < options.most; index++) {
      if (options.done?.(state) === true) break;
      state = await options.round(state, index);
      this.#rounds[name] = {
        ...{ done: index + 1, state },
        ...{ visits: this.#visits, lines: this.#trace.length },
      };
      await this.#keeper?.keep(() => ({
        rounds: { ...this.#rounds },
        trace: this.#trace,
        measured: { ...this.#measured },
      }));
    }
    return state;
  }
}

const sorted = (policy: Policy): Policy =>
  Object.fromEntries(Object.entries(policy).sort(([a], [b]) => (a < b ? -1 : 1)));
