import { median } from "../median.js";
import { exportQLinear, NoForm } from "../../export/index.js";
import type { FrozenNetwork } from "../../freeze/index.js";
import {
  type Alike,
  alikeByKind,
  alikeByShape,
  type Form,
  pairs,
  varieties,
  type Variety,
  withSmallWeights,
} from "./forms.js";

/** Milliseconds of one image in each round. */
export type Times = readonly number[];

export interface Trials {
  /** Times of models that take turns: as many rounds for all. */
  readonly time: (models: readonly Uint8Array[]) => Promise<readonly Times[]>;
  /** Share of images that a form classifies on this runtime as the simulation of the same network does. */
  readonly agreement: (form: Form) => Promise<number>;
  /** Whether its kernels add pairs of products in 16 bits, for which weights of 8 bits may be too large. */
  readonly saturates: boolean;
}

/** What became of a form that was tried. */
export interface TriedForm {
  readonly form: string;
  readonly milliseconds?: number;
  /** Of the float network's time in the same rounds. */
  readonly share?: number;
  /** Only of what might have been chosen. */
  readonly agreement?: number;
  /** Why there is no such form here. */
  readonly unsupported?: string;
}

export interface FastestForm extends Form {
  readonly agreement: number;
  readonly tried: readonly TriedForm[];
}

/** What integers must gain to be kept, of the network's time. */
export const LEAST_GAIN = 0.02;
/** Share of images that a form must classify as simulated to be handed out. */
export const LEAST_AGREEMENT = 0.99;

/**
 * The form of a network that this onnxruntime runs fastest, found by trying: QuantizeLinear pairs, with kinds of layers and then
 * with layers of one shape in float, and QLinear operators; all of that with channels padded, too. A kind of layers keeps its
 * integers where the network is `LEAST_GAIN` slower without; layers of one shape go the other way, and channels are padded, where
 * that makes it so much faster; and altogether integers must gain it against the float network, which is the answer otherwise.
 * What predicts something else than its simulation never is, and where that is due to kernels that saturate, weights have 7 bits. Weights stay on their channels' own grids: one grid for all would
 * save 1 to 3 % of a convolution.
 *
 * @param float the network that the quantized one came from
 * @throws Error when not even the float network computes here what it does in simulation
 */
export async function fastestForm(
  frozen: FrozenNetwork,
  float: Uint8Array,
  trials: Trials,
): Promise<FastestForm> {
  const contest = new Contest(float, trials);
  const whole: Variety = { frozen, suffix: "" };
  const isWrong = trials.saturates && (await contest.mispredicts(pairs(whole, [])));
  for (const variety of varieties(isWrong ? withSmallWeights(whole) : whole))
    await tryForms(variety, contest);
  return contest.end();
}

/** The forms of one variety, of which the fastest stays. */
async function tryForms(variety: Variety, contest: Contest): Promise<void> {
  const { frozen, suffix } = variety;
  contest.begin();
  await contest.enter(pairs(variety, []));
  let left: readonly Alike[] = [];
  const choose = async (inFloat: readonly Alike[], most: number): Promise<void> => {
    if (await contest.enter(pairs(variety, inFloat), most)) left = inFloat;
  };
  for (const kind of alikeByKind(frozen)) await choose([...left, kind], 1 + LEAST_GAIN);
  const shapes = alikeByShape(frozen, LEAST_GAIN);
  for (const shape of shapes) {
    const kind = left.find((one) => holds(one, shape));
    const rest = shapes.filter((other) => other !== shape && kind && holds(kind, other));
    const changed = kind ? left.flatMap((one) => (one === kind ? rest : [one])) : [...left, shape];
    await choose(changed, 1 - LEAST_GAIN);
  }
  const name = `QLinear${suffix}`;
  try {
    const model = exportQLinear(frozen, "tuned");
    await contest.enter({ name, model, inFloat: new Set() }, 1 - LEAST_GAIN);
  } catch (error) {
    if (!(error instanceof NoForm)) throw error;
    contest.note(name, { unsupported: error.message });
  }
}

const holds = (group: Alike, part: Alike): boolean =>
  part.layers.every((name) => group.layers.includes(name));

/** Forms one after the other, each against the best so far. */
class Contest {
  readonly #float: Form;
  readonly #trials: Trials;
  readonly #tried = new Map<string, TriedForm>();
  readonly #forms: Form[] = [];
  /** Of each variety that is over. */
  readonly #winners: Form[] = [];
  #best: Form;

  constructor(float: Uint8Array, trials: Trials) {
    this.#float = { name: "float", model: float, inFloat: "all" };
    this.#trials = trials;
    this.#best = this.#float;
  }

  /** What was the best is compared with others at the end. */
  begin(): void {
    if (this.#best !== this.#float) this.#winners.push(this.#best);
    this.#best = this.#float;
  }

  /**
   * @param most of the best form's time that the new one may take to be the best; the first one is in any case
   * @returns whether it is the best now
   */
  async enter(form: Form, most = Infinity): Promise<boolean> {
    try {
      const isBest = (await this.#against(form, this.#best)) < most;
      if (isBest) this.#best = form;
      this.#forms.push(form);
      return isBest;
    } catch (error) {
      this.note(form.name, { unsupported: (error as Error).message });
      return false;
    }
  }

  note(form: string, what: Omit<TriedForm, "form">): void {
    this.#tried.set(form, { ...this.#tried.get(form), form, ...what });
  }

  async end(): Promise<FastestForm> {
    this.begin();
    for (const winner of this.#winners)
      if (this.#best === this.#float || (await this.#against(winner, this.#best)) < 1 - LEAST_GAIN)
        this.#best = winner;
    const share = ({ name }: Form) => this.#tried.get(name)?.share ?? Infinity;
    const others = this.#forms.toSorted((a, b) => share(a) - share(b));
    for (const form of new Set([this.#best, ...others])) {
      // Against float again: of many that are tried the best one looks better than it is.
      if (share(form) > FLOAT_SHARE || (await this.#against(form, this.#float)) > FLOAT_SHARE)
        continue;
      const agreement = await this.#agreement(form);
      if (agreement >= LEAST_AGREEMENT)
        return { ...form, agreement, tried: [...this.#tried.values()] };
    }
    const agreement = await this.#agreement(this.#float);
    if (agreement >= LEAST_AGREEMENT)
      return { ...this.#float, agreement, tried: [...this.#tried.values()] };
    throw new Error(
      `not even the float network computes here what it does in simulation: ${(100 * agreement).toFixed(2)} % of its predictions are the same`,
    );
  }

  /** How many times as long one form takes as another. */
  async #against(form: Form, other: Form): Promise<number> {
    const { time } = this.#trials;
    const [inFloat = [], own = [], others = []] = await time([
      this.#float.model,
      form.model,
      other.model,
    ]);
    this.note(this.#float.name, { milliseconds: median(inFloat), share: 1 });
    this.note(form.name, { milliseconds: median(own), share: ratio(own, inFloat) });
    return ratio(own, others);
  }

  /** Whether a form runs, but predicts something else than its simulation. */
  async mispredicts(form: Form): Promise<boolean> {
    try {
      return (await this.#agreement(form)) < LEAST_AGREEMENT;
    } catch {
      return false; // entering says why it does not run
    }
  }

  async #agreement(form: Form): Promise<number> {
    const known = this.#tried.get(form.name)?.agreement;
    if (known !== undefined) return known;
    const agreement = await this.#trials.agreement(form);
    this.note(form.name, { agreement });
    return agreement;
  }
}

const FLOAT_SHARE = 1 / (1 + LEAST_GAIN);

/** Of what two models took in the same rounds. */
const ratio = (a: Times, b: Times): number =>
  median(a.map((time, round) => time / (b[round] ?? NaN)));
