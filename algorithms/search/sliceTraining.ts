import pow from "@stdlib/math-base-special-pow";
import * as tf from "#tf";
import { usableScale, valueOf } from "../affine.js";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "../algorithm.js";
import type { Found, ImageBatch, Laboratory, Runs } from "../laboratory.js";
import { descend, type Descent } from "./descent.js";
import {
  coarsened,
  fitsMemory,
  memoryPenalty,
  movedSlices,
  policyOf,
  slicedTensors,
} from "./memoryPenalty.js";
import { nameAt, valuesAt } from "./siteValues.js";
import { isUnsigned, stepAndRange } from "./stepAndRange.js";

/** Of the weights, while bits are learned, in the matrix's rates. */
const RATE_WITH_BITS = 0.1;
/** Steps and ranges move at every fifth step. */
export const PERIOD = 5;
/** How many times as large all updates together can make a step, at most. */
const LARGEST_GROWTH = 50;
const LARGEST_RATE = 0.2;
/** Part of the penalty at the start; it rises to all of it in the first half. */
const FIRST_STRENGTH = 0.01;
/** Checkpoints that are judged while bits are learned, at most. */
export const CHECKPOINTS = 16;

/** A network with its slices between two steps of training. */
export interface State {
  readonly descent: Descent;
  /** Step and range of all sites. */
  readonly values: QuantizerValues;
  readonly steps: number;
}

interface Slices {
  readonly tensors: QuantizerValues;
  readonly values: QuantizerValues;
}
interface Checkpoint extends Slices {
  readonly accuracy: number;
  readonly loss: number;
}

/** The same while bits are learned. */
export interface Mixed extends State {
  /** Of the checkpoints within the budgets. */
  readonly best: Checkpoint | undefined;
}

function quantize(x: tf.Tensor, site: QuantizerSite, inputs: QuantizerTensors): tf.Tensor {
  const values = valuesAt(site, inputs);
  const step = usableScale(valueOf(values, "step"), site.scheme);
  const slice = { step, range: valueOf(values, "range") };
  return stepAndRange(x, isUnsigned(site) ? { ...slice, lowest: tf.fill([], 0) } : slice, site);
}

/** Trains weights, and steps and ranges with them, in rounds. */
export class SliceTraining {
  readonly #laboratory: Laboratory;
  readonly #together: number;
  readonly #learned: ReadonlySet<string>;
  readonly #train: Runs;
  readonly #judge: Runs;

  /** @param together steps in which bits are learned */
  constructor(laboratory: Laboratory, together: number) {
    const { free, parameters, prepare } = laboratory;
    const weights = Object.keys(parameters).filter((name) => !/\/(mean|variance)$/.test(name));
    const learned = free.flatMap((site) => [nameAt(site, "step"), nameAt(site, "range")]);
    this.#laboratory = laboratory;
    this.#together = together;
    this.#learned = new Set(learned);
    this.#train = prepare({ by: [...weights, ...learned], training: true, quantize });
    this.#judge = prepare({ by: [], training: false, quantize });
  }

  /** An epoch of weights alone, until so many steps are done. */
  async weights(before: State, name: string, most: number): Promise<State> {
    const { epoch, descent } = this.#laboratory;
    let state = before;
    for (const batch of epoch(name)) {
      if (state.steps >= most) break;
      state = (await this.#step(state, batch, descent.rate)).next;
    }
    return state;
  }

  /** Steps up to the next checkpoint; the last state within the budgets is judged. */
  async bits(before: Mixed, name: string): Promise<Mixed> {
    const rate = RATE_WITH_BITS * this.#laboratory.descent.rate;
    const perRound = Math.max(PERIOD, Math.ceil(this.#together / CHECKPOINTS));
    const end = Math.min(this.#together, before.steps + perRound);
    let state: State = before;
    let isFeasible = fitsMemory(this.#laboratory, state.values);
    let feasible: Slices | undefined;
    for (const batch of this.#batches(name)) {
      if (state.steps >= end) break;
      const { next, gradients } = await this.#step(state, batch, rate);
      state = next;
      if (isFeasible) feasible = { tensors: state.descent.tensors, values: state.values };
      if (state.steps % PERIOD !== 0) continue;
      state = { ...state, values: this.#moved(state, gradients) };
      isFeasible = fitsMemory(this.#laboratory, state.values);
    }
    const seen = feasible && (await this.#judged(feasible));
    return { ...state, best: better(before.best, seen) };
  }

  /** The best checkpoint within the budgets; without one, what the last becomes when steps grow. */
  found({ best, descent, values }: Mixed): Found {
    const { free, sites } = this.#laboratory;
    const slices = best ?? {
      tensors: descent.tensors,
      values: coarsened(this.#laboratory, values),
    };
    const tensors = { ...slices.tensors, ...slicedTensors(sites, slices.values) };
    return { ...policyOf(free, slices.values), tensors };
  }

  /** Epochs after one another. */
  *#batches(name: string): Generator<ImageBatch> {
    for (let i = 0; ; i++) {
      const batches = [...this.#laboratory.epoch(`${name}/${String(i)}`)];
      if (batches.length === 0) return;
      yield* batches;
    }
  }

  async #step(state: State, batch: ImageBatch, rate: number) {
    const seen = await this.#train({ ...state.descent.tensors, ...state.values }, batch);
    if (!Number.isFinite(seen.loss))
      throw new RangeError(`the loss became ${String(seen.loss)} at step ${String(state.steps)}`);
    const ofWeights = Object.entries(seen.gradients).filter(([name]) => !this.#learned.has(name));
    const { tensors, velocities } = descend(state.descent, Object.fromEntries(ofWeights), {
      ...this.#laboratory.descent,
      rate,
    });
    const descent = { tensors: { ...tensors, ...seen.statistics }, velocities };
    return { next: { ...state, descent, steps: state.steps + 1 }, gradients: seen.gradients };
  }

  #moved({ values, steps }: State, gradients: QuantizerValues): QuantizerValues {
    const { free, widths } = this.#laboratory;
    const rise = FIRST_STRENGTH + ((1 - FIRST_STRENGTH) * 2 * steps) / this.#together;
    const { gradients: pressure } = memoryPenalty(free, values);
    const gradient = (name: string, i: number) =>
      (gradients[name]?.data[i] ?? NaN) + Math.min(1, rise) * (pressure[name]?.[i] ?? NaN);
    const updates = Math.max(1, Math.floor(this.#together / PERIOD));
    const rate = Math.min(LARGEST_RATE, pow(LARGEST_GROWTH, 1 / updates) - 1);
    return free.reduce<QuantizerValues>((all, site) => {
      const widest = widths[site.role].at(-1) ?? site.scheme.bitWidth;
      return { ...all, ...movedSlices(site, values, { gradient, rate, widest }) };
    }, values);
  }

  async #judged(slices: Slices): Promise<Checkpoint> {
    const { free, heldOut, note } = this.#laboratory;
    let [correct, loss, images] = [0, 0, 0];
    for (const batch of heldOut) {
      const seen = await this.#judge({ ...slices.tensors, ...slices.values }, batch);
      const count = batch.labels.data.length;
      correct += seen.correct;
      loss += seen.loss * count;
      images += count;
    }
    const score = { accuracy: correct / images, loss: loss / images };
    note({ ...policyOf(free, slices.values), ...score });
    return { ...slices, ...score };
  }
}

function better(known: Checkpoint | undefined, seen: Checkpoint | undefined) {
  if (known === undefined || seen === undefined) return seen ?? known;
  const isAhead =
    seen.accuracy > known.accuracy || (seen.accuracy === known.accuracy && seen.loss < known.loss);
  return isAhead ? seen : known;
}
