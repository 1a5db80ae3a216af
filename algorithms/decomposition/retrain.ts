import type { Found, Laboratory, Runs, Score } from "../laboratory.js";
import type { QuantizerValues } from "../quantizer.js";
import { descend, startDescent, type Descent } from "../search/descent.js";
import { imagesOf } from "../search/batches.js";
import { projectAll } from "./projectAll.js";
import type { ProjectionOptions } from "./project.js";

/** Training goes on between projections for an epoch, or less where the visits allow fewer than so many. */
const LEAST_ROUNDS = 4;
/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;

interface State {
  readonly descent: Descent;
  readonly best: {
    readonly accuracy: number;
    readonly loss: number;
    readonly parameters: QuantizerValues;
    readonly stored: QuantizerValues;
  };
}

/**
 * Trains in float and projects all layers in turns; keeps what is best on held-out images after projection.
 * The first candidate is the projection of the float network itself.
 *
 * @throws RangeError when the visits are too few for a step in each round
 */
export async function retrain(laboratory: Laboratory, options: ProjectionOptions): Promise<Found> {
  const { rounds, descent: rule, epoch, note, prepare } = laboratory;
  const judge = judgeOf(laboratory, prepare({ by: [], training: false }));
  const { most, steps } = roundsWithin(laboratory);
  const train = prepare({ by: trainedNames(laboratory), training: true });
  const projected = async (tensors: QuantizerValues) => {
    const { kernels, stored } = projectAll(laboratory.sites, tensors, options);
    const parameters = { ...tensors, ...kernels };
    const score = await judge(parameters);
    note({ policy: {}, ...score });
    return { ...score, parameters, stored };
  };
  const first = async (): Promise<State> => {
    const best = await projected(laboratory.parameters);
    return { descent: startDescent(best.parameters), best };
  };
  const { best } = await rounds("epochs of training and projection", first, {
    most,
    async round({ descent, best: before }, index) {
      let current = descent;
      let step = index * steps;
      for (const batch of firstOf(epoch(`retraining ${String(index)}`), steps)) {
        const rate = rule.rate * (1 - step++ / (most * steps));
        const { gradients, statistics } = await train(current.tensors, batch);
        const moved = descend(current, gradients, { ...rule, rate });
        current = { ...moved, tensors: { ...moved.tensors, ...statistics } };
      }
      const found = await projected(current.tensors);
      return {
        descent: { ...current, tensors: found.parameters },
        best: isBetter(found, before) ? found : before,
      };
    },
  });
  return { policy: {}, tensors: { ...best.parameters, ...best.stored } };
}

/** How often the visits allow to train and project, and how many steps lie between. */
export function roundsWithin({ visits, heldOut, epoch }: Laboratory) {
  const batches = [...epoch("retraining 0")];
  const perStep = GRADIENT_VISITS * (batches[0]?.labels.data.length ?? NaN);
  const judging = imagesOf(heldOut);
  const left = visits.allowed - visits.used - judging;
  const whole = Math.floor(left / (batches.length * perStep + judging));
  const most = Math.max(LEAST_ROUNDS, whole);
  const steps = Math.min(batches.length, Math.floor((left / most - judging) / perStep));
  if (!(steps >= 1))
    throw new RangeError(`${String(visits.allowed)} image visits are too few to retrain`);
  return { most, steps };
}

export function* firstOf<T>(values: Iterable<T>, count: number): Generator<T> {
  let taken = 0;
  for (const value of values) {
    if (taken++ === count) return;
    yield value;
  }
}

/** Accuracy and loss on the images that are held out. */
export const judgeOf =
  ({ heldOut }: Laboratory, run: Runs) =>
  async (tensors: QuantizerValues) => {
    let [correct, loss] = [0, 0];
    for (const batch of heldOut) {
      const found = await run(tensors, batch);
      correct += found.correct;
      loss += found.loss * batch.labels.data.length;
    }
    return { accuracy: correct / imagesOf(heldOut), loss: loss / imagesOf(heldOut) };
  };

/** Whether more images are right, or as many with less loss. */
export const isBetter = (a: Score, b: Score): boolean =>
  a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.loss < b.loss);

/** All parameters but running statistics. */
export const trainedNames = ({ parameters }: Laboratory): string[] =>
  Object.keys(parameters).filter((name) => !/\/(mean|variance)$/.test(name));
