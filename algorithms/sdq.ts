import * as tf from "#tf";
import type { Algorithm, LossTerms, QuantizerSite, QuantizerValues } from "./algorithm.js";
import { squashedWeight, transformedWeight } from "./dorefa.js";
import { fixedGrid } from "./fixedGrid.js";
import type { Experiment, Found, ImageBatch, Laboratory, Policy } from "./laboratory.js";
import { lsq } from "./lsq.js";
import { mseObserver } from "./observers/index.js";
import { imagesOf } from "./search/batches.js";
import { binDistance, entropySquashed } from "./search/binRegularization.js";
import { descend, startDescent, type Descent } from "./search/descent.js";
import { nameAt, valuesAt } from "./search/siteValues.js";
import {
  drawInputs,
  drawnWeight,
  expectedBits,
  expectedError,
  freshDraw,
  gumbel,
  moreProbable,
  movedDraw,
  WAY_DOWN,
  type WidthDraw,
} from "./search/widthDraw.js";

/** How much the error of rounding weighs, which keeps bits up, and their number, which brings them down. */
export interface Pressure {
  readonly error: number;
  readonly bits: number;
}
const PRESSURE: Pressure = { error: 1, bits: 1 };
/** The widest width that sources have, in which bits are counted. */
const FULL_BITS = 8;
/** A gradient step is three visits of each image. */
const VISITS_OF_STEP = 3;

/** A strategy on its way: network, and what every layer draws from. */
interface State {
  readonly descent: Descent;
  readonly draws: Readonly<Record<string, WidthDraw>>;
  readonly steps: number;
}

const sizeOf = ({ shape }: QuantizerSite): number => shape.reduce((a, b) => a * b, 1);
const calibratedGrid = fixedGrid(mseObserver);

/** The weights of these sites are drawn at one of two widths each. */
function drawing(free: readonly QuantizerSite[]): NonNullable<Experiment["quantize"]> {
  const drawn = new Set(free.map(({ id }) => id));
  return (x, site, inputs) => {
    const values = valuesAt(site, inputs);
    if (site.role === "activation") return calibratedGrid.fakeQuantize(x, values, site);
    return drawn.has(site.id)
      ? drawnWeight(x, values, site)
      : squashedWeight.fakeQuantize(x, {}, site);
  };
}

/** The cross entropy, and what presses on the bits of these sites. */
function pressed(
  free: readonly QuantizerSite[],
  pressure: Pressure,
): NonNullable<Experiment["loss"]> {
  const total = FULL_BITS * free.reduce((sum, site) => sum + sizeOf(site), 0);
  return ({ crossEntropy, inputs, tensor }) =>
    free.reduce<tf.Scalar>((loss, site) => {
      const values = valuesAt(site, inputs);
      const error = tf.mul(expectedError(tensor(site), values, site), pressure.error);
      const bits = tf.mul(expectedBits(values), (pressure.bits * sizeOf(site)) / total);
      return tf.add(loss, tf.add(error, bits));
    }, crossEntropy);
}

/** The more probable width of every layer. */
const strategyOf = (draws: State["draws"], widths: readonly number[]): Policy =>
  Object.fromEntries(
    Object.entries(draws).map(([id, draw]) => [id, widths[moreProbable(draw)] ?? NaN]),
  );

/** Takes the wider width from the layer that is least likely to have it, until the budget holds. */
export function loweredDraws(
  draws: State["draws"],
  fits: (draws: State["draws"]) => boolean,
): State["draws"] {
  let current = draws;
  while (!fits(current)) {
    const [least] = Object.entries(current)
      .filter(([, draw]) => moreProbable(draw) > 0)
      .toSorted(([, a], [, b]) => a.logit - b.logit);
    if (least === undefined) throw new RangeError("even the narrowest widths are over the budget");
    const [id, draw] = least;
    current = { ...current, [id]: freshDraw(draw.place - 1) };
  }
  return current;
}

/** Phase 1: learns how probable widths are, together with the weights, until the budget holds (section 3). */
export async function generateStrategy(
  laboratory: Laboratory,
  pressure: Pressure = PRESSURE,
): Promise<Found> {
  const { free, widths, calibration, calibrate, visits, budget, cost, rounds } = laboratory;
  if (free.length === 0) return { policy: {} };
  const grids = await calibrate({ weight: calibratedGrid, activation: calibratedGrid });
  const batch = calibration[0]?.labels.data.length ?? 1;
  const steps = Math.max(1, Math.floor(visits.allowed / (VISITS_OF_STEP * batch)));
  const top = widths.weight.length - 1;
  const fits = (draws: State["draws"]) => cost(strategyOf(draws, widths.weight)) <= budget;
  const epoch = epochs(laboratory, { grids, pressure, fits });
  const first = (): State => ({
    descent: startDescent(laboratory.parameters),
    draws: Object.fromEntries(free.map(({ id }) => [id, freshDraw(top)])),
    steps: 0,
  });
  const rate = rateOf(widths.weight, free.length) / steps;
  const { draws } = await rounds("epochs", first, {
    most: steps,
    done: (state) => fits(state.draws) || !epoch.mayGoOn(batch),
    round: (state, index) => epoch.run(state, index, rate),
  });
  return { policy: strategyOf(loweredDraws(draws, fits), widths.weight) };
}

/** What it takes, in steps times rate, to press a layer of average size down through all widths. */
function rateOf(widths: readonly number[], layers: number): number {
  const ways = widths.slice(1).map((bits, i) => WAY_DOWN / (bits - (widths[i] ?? NaN)));
  return FULL_BITS * layers * ways.reduce((a, b) => a + b, 0);
}

function epochs(
  laboratory: Laboratory,
  {
    grids,
    pressure,
    fits,
  }: {
    readonly grids: QuantizerValues;
    readonly pressure: Pressure;
    readonly fits: (draws: State["draws"]) => boolean;
  },
) {
  const { free, widths, parameters, heldOut, visits, prepare, note, descent: rule } = laboratory;
  const trained = Object.keys(parameters).filter((name) => !/\/(mean|variance)$/.test(name));
  const logits = free.map((site) => nameAt(site, "logit"));
  const quantize = drawing(free);
  const by = [...trained, ...logits];
  const train = prepare({ by, training: true, quantize, loss: pressed(free, pressure) });
  const judge = prepare({ by: [], training: false, quantize });
  const judged = imagesOf(heldOut);
  const inputs = ({ descent, draws }: State, noise: () => number): QuantizerValues => {
    const drawn = free.map((site) =>
      drawInputs(site, drawOf(draws, site), { widths: widths.weight, noise: noise() }),
    );
    return Object.assign({}, grids, descent.tensors, ...drawn) as QuantizerValues;
  };
  const mayGoOn = (images: number): boolean =>
    visits.used + VISITS_OF_STEP * images + judged <= visits.allowed;

  async function step(state: State, batch: ImageBatch, options: StepOptions): Promise<State> {
    const seen = await train(inputs(state, options.noise), batch);
    if (!Number.isFinite(seen.loss))
      throw new RangeError(`the loss became ${String(seen.loss)} at step ${String(state.steps)}`);
    const gradients = Object.fromEntries(
      Object.entries(seen.gradients).filter(([name]) => !logits.includes(name)),
    );
    const { tensors, velocities } = descend(state.descent, gradients, rule);
    const draws = Object.fromEntries(
      free.map((site) => {
        const gradient = seen.gradients[nameAt(site, "logit")]?.data[0] ?? NaN;
        return [site.id, movedDraw(drawOf(state.draws, site), gradient, options.rate)];
      }),
    );
    const descent = { tensors: { ...tensors, ...seen.statistics }, velocities };
    return { descent, draws, steps: state.steps + 1 };
  }

  return {
    mayGoOn,
    async run(before: State, index: number, rate: number): Promise<State> {
      const random = laboratory.random(`draws ${String(index)}`);
      const noise = () => gumbel(random) - gumbel(random);
      let state = before;
      for (const batch of laboratory.epoch(`draws ${String(index)}`)) {
        if (fits(state.draws) || !mayGoOn(batch.labels.data.length)) break;
        state = await step(state, batch, { noise, rate });
      }
      let [correct, loss] = [0, 0];
      for (const batch of heldOut) {
        const seen = await judge(
          inputs(state, () => 0),
          batch,
        );
        correct += seen.correct;
        loss += seen.loss * batch.labels.data.length;
      }
      const policy = strategyOf(state.draws, widths.weight);
      note({ policy, accuracy: correct / judged, loss: loss / judged });
      return state;
    },
  };
}

interface StepOptions {
  readonly noise: () => number;
  readonly rate: number;
}

function drawOf(draws: State["draws"], { id }: QuantizerSite): WidthDraw {
  const draw = draws[id];
  if (draw === undefined) throw new TypeError(`nothing is drawn for ${id}`);
  return draw;
}

/** lambda_E; 0.1 is the paper's best. */
const BIN_STRENGTH = 0.1;

/** What the teacher expects instead of labels, and weights near the middle of their bins (section 4). */
function distill({ logits, teacherLogits, tensor, quantizers }: LossTerms): tf.Scalar {
  const expected = tf.softmax(teacherLogits());
  const distance = tf.neg(tf.mean<tf.Scalar>(tf.sum(tf.mul(expected, tf.logSoftmax(logits)), 1)));
  return [...quantizers.keys()]
    .filter(({ role }) => role === "weight")
    .map((site) => binDistance(entropySquashed(tensor(site), site), site))
    .reduce<tf.Scalar>((sum, bins) => tf.add(sum, tf.mul(bins, BIN_STRENGTH)), distance);
}

/** Bits of each layer by probabilities that gradient descent moves, then distillation. */
export const sdq = {
  name: "sdq",
  title: "SDQ",
  version: 1,
  source: {
    title:
      "SDQ: Stochastic Differentiable Quantization with Mixed Precision (Huang et al., ICML 2022)",
    url: "https://arxiv.org/abs/2206.04459",
  },
  deviations: [
    "There is no public code, and the paper's text was not at hand: the draw of two widths, distillation and the strength of the bin regularization (0.1) are from its abstract and a summary; the decay rule, the straight-through form, DoReFa's weights and the entropy term are from memory.",
    "What pushes bits up and down is reconstructed: the mean squared error of rounding that a draw has on average, summed over layers, and its bits over 8, averaged over weights, both weighed by 1. The push is on the bits of weights, whatever unit the budget has.",
    "A layer loses its wider width when that becomes less probable than 0.1, and starts anew at 0.9. Probabilities learn by gradient descent with momentum 0.9, at the rate by which the push alone brings a layer of average size through all widths within the allowed visits; weights learn along at the matrix's peak rate.",
    "Candidates are 2, 3, 4, 5, 6 and 8 bits. The search ends as soon as the more probable widths are within the budget; where visits run out before, the least probable width is taken away until they are. First and last layer keep their bits.",
    "Activations keep the matrix's bits: on the calibrated grids with the least squared error while bits are searched, as LSQ's afterwards (as in later code of the same group).",
    "Training with the strategy starts from the float checkpoint, and that is the teacher; the paper's are larger networks.",
    "Bin regularization is in units where a layer's grid reaches from -1 to 1, on weights that are rescaled to the mean magnitude of most entropy and then squashed as in DoReFa, whose deviations hold here.",
  ],
  weight: transformedWeight(entropySquashed, "exact"),
  activation: lsq.activation,
  phases: [{ name: "distill", share: 1, trains: ["weights", "quantizers"], loss: distill }],
  search: {
    budget: { unit: "size" },
    candidates: [2, 3, 4, 5, 6, 8],
    activations: false,
    run: (laboratory) => generateStrategy(laboratory),
  },
} as const satisfies Algorithm;
