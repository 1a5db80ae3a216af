import * as tf from "#tf";
import type { BitAllocation, QuantizerSite } from "../../algorithms/algorithm.js";
import { coverRange, quantizerOn, scaleIndex } from "../../algorithms/observers/index.js";
import type { Batch } from "../train/index.js";
import {
  type Engine,
  float32,
  type HostTensor,
  type HostTensors,
  randomStream,
  type StepTensors,
} from "../engine/index.js";
import { existing, forward, type QuantizedNetwork, unquantized } from "../network/index.js";

/** Random directions; each costs two gradients on every calibration batch. */
const DIRECTIONS = 8;
/** Length of a step along a direction, as a part of the weights' root mean square. */
const STEP = 1e-2;

interface Allocation extends QuantizedNetwork {
  readonly allocation: BitAllocation;
  readonly parameters: HostTensors;
  readonly batches: readonly Batch[];
  readonly classes: number;
  readonly seed: number;
}

/**
 * Bits of each weight by its sensitivity, as HAWQ-V2 has it: the mean Hessian trace of the layer
 * times the squared error that quantization makes in its weights, summed, is least within the
 * budget. First and last layer keep their bits.
 *
 * @returns the sites with their new bit widths
 */
export async function allocateBits(engine: Engine, task: Allocation): Promise<QuantizerSite[]> {
  const { sites, allocation, parameters } = task;
  const layers = sites.filter(({ role }) => role === "weight");
  const inner = layers.slice(1, -1);
  if (inner.length === 0) return [...sites];
  const traces = await hessianTraces(engine, task, inner);
  const activationBits = Math.max(
    2,
    Math.min(...sites.filter(({ role }) => role === "activation").map((s) => s.scheme.bitWidth)),
  );
  const unit = (site: QuantizerSite): number =>
    allocation.budget === "size"
      ? site.shape.reduce((a, b) => a * b, 1)
      : site.multiplications * activationBits;
  const budget = inner.reduce((sum, site) => sum + unit(site) * site.scheme.bitWidth, 0);
  const choices: Choice[][] = [];
  for (const site of inner) {
    const options: Choice[] = [];
    for (const bitWidth of allocation.candidates) {
      const changed = { ...site, scheme: { ...site.scheme, bitWidth } };
      const error = squaredError(changed, existing(parameters, site.id));
      options.push({
        bitWidth,
        cost: unit(site) * bitWidth,
        harm: (traces.get(site.id) ?? 0) * error,
      });
    }
    choices.push(options);
  }
  const chosen = cheapestHarm(choices, budget);
  const bits = new Map(inner.map(({ id }, i) => [id, chosen[i]?.bitWidth]));
  return withBits(sites, bits);
}

/** Sites with other bit widths where the map has one. */
export function withBits(
  sites: readonly QuantizerSite[],
  bits: ReadonlyMap<string, number | undefined>,
): QuantizerSite[] {
  return sites.map((site) => {
    const bitWidth = bits.get(site.id);
    return bitWidth === undefined ? site : { ...site, scheme: { ...site.scheme, bitWidth } };
  });
}

export interface Choice {
  readonly bitWidth: number;
  readonly cost: number;
  readonly harm: number;
}

/**
 * One choice of each list with the least total harm whose total cost is within the budget, exactly:
 * dynamic programming over the totals that no other one beats in both.
 *
 * @throws RangeError when even the cheapest choices cost more than the budget
 */
export function cheapestHarm(
  choices: readonly (readonly Choice[])[],
  budget: number,
): readonly Choice[] {
  interface Partial {
    readonly cost: number;
    readonly harm: number;
    readonly chosen: readonly Choice[];
  }
  // What the lists still to come cost at least.
  const leastAfter = choices.map((_, i) =>
    choices
      .slice(i + 1)
      .reduce((sum, options) => sum + Math.min(...options.map(({ cost }) => cost)), 0),
  );
  let states: Partial[] = [{ cost: 0, harm: 0, chosen: [] }];
  choices.forEach((options, i) => {
    const next = states
      .flatMap((state) =>
        options.map((option) => ({
          cost: state.cost + option.cost,
          harm: state.harm + option.harm,
          chosen: [...state.chosen, option],
        })),
      )
      .filter(({ cost }) => cost + (leastAfter[i] ?? 0) <= budget)
      .sort((a, b) => a.cost - b.cost || a.harm - b.harm);
    states = [];
    let least = Infinity;
    for (const state of next) {
      if (state.harm >= least) continue;
      least = state.harm;
      states.push(state);
    }
  });
  const best = states.at(-1);
  if (best === undefined) {
    throw new RangeError(`no choice of bit widths fits the budget of ${String(budget)}`);
  }
  return best.chosen;
}

/**
 * The mean of each layer's Hessian diagonal by Hutchinson's method: the expectation of v * H v over
 * random signs v, where H v is the difference of the gradients on both sides along v.
 */
async function hessianTraces(
  engine: Engine,
  { network, parameters, batches, classes, seed }: Allocation,
  sites: readonly QuantizerSite[],
): Promise<Map<string, number>> {
  const names = sites.map(({ id }) => id);
  const step = ({ images, labels, ...current }: StepTensors) => {
    if (!images || !labels) throw new TypeError("sensitivities need a batch");
    const loss = (...kernels: tf.Tensor[]): tf.Scalar => {
      const moved = Object.fromEntries(names.map((name, i) => [name, kernels[i] as tf.Tensor]));
      const { logits } = forward(network, images, {
        parameters: { ...current, ...moved },
        training: false,
        quantize: unquantized,
      });
      const oneHot = tf.cast(tf.oneHot(labels as tf.Tensor1D, classes), "float32");
      return tf.neg(tf.mean<tf.Scalar>(tf.sum(tf.mul(tf.logSoftmax(logits), oneHot), 1)));
    };
    const gradients = tf.grads(loss)(names.map((name) => existing(current, name)));
    return Object.fromEntries(names.map((name, i) => [name, gradients[i] as tf.Tensor]));
  };
  const [first] = batches;
  if (first === undefined) throw new Error("sensitivities need calibration images");
  const compiled = await engine.compile(step, { ...first, ...parameters });
  const random = randomStream(seed, "hessian");
  const sums = new Map(names.map((name) => [name, 0]));
  try {
    for (let direction = 0; direction < DIRECTIONS; direction++) {
      const steps = new Map(
        names.map((name) => {
          const { data } = existing(parameters, name);
          const size = STEP * rootMeanSquare(data);
          return [name, Float32Array.from(data, () => (random.integer(2) === 1 ? size : -size))];
        }),
      );
      const moved = (sign: 1 | -1): HostTensors =>
        Object.fromEntries(
          names.map((name) => {
            const { shape, data } = existing(parameters, name);
            const along = steps.get(name);
            const values = Float32Array.from(data, (w, i) => w + sign * (along?.[i] ?? 0));
            return [name, float32(values, shape)];
          }),
        );
      for (const batch of batches) {
        const plus = await compiled.run({ ...batch, ...parameters, ...moved(1) });
        const minus = await compiled.run({ ...batch, ...parameters, ...moved(-1) });
        for (const name of names) {
          const along = steps.get(name) ?? new Float32Array(0);
          const [after, before] = [existing(plus, name).data, existing(minus, name).data];
          const size = Math.abs(along[0] ?? 1);
          // v (g(w + e v) - g(w - e v)) / 2e, with e v = along and v of signs.
          const product = along.reduce(
            (sum, a, i) => sum + (a / size) * ((after[i] ?? 0) - (before[i] ?? 0)),
            0,
          );
          const trace = product / (2 * size) / along.length;
          sums.set(name, (sums.get(name) ?? 0) + trace / (DIRECTIONS * batches.length));
        }
      }
    }
  } finally {
    await compiled.release();
  }
  return sums;
}

const rootMeanSquare = (data: ArrayLike<number>): number =>
  Math.sqrt(Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length) || 1e-3;

/**
 * Sum over the weights of the squared error that the grid between their extremes makes, which is what
 * the authors' code rounds to before it trains.
 */
export function squaredError(site: QuantizerSite, { data }: HostTensor): number {
  const scaleAt = scaleIndex(site);
  const ranges: { min: number; max: number }[] = [];
  data.forEach((weight: number, i: number) => {
    const range = (ranges[scaleAt(i)] ??= { min: weight, max: weight });
    range.min = Math.min(range.min, weight);
    range.max = Math.max(range.max, weight);
  });
  const quantizers = ranges.map((range) => quantizerOn(coverRange(range, site), site));
  return Array.from<number>(data).reduce((sum, weight, i) => {
    const error = (quantizers[scaleAt(i)]?.(weight) ?? NaN) - weight;
    return sum + error * error;
  }, 0);
}
