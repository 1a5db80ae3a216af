import { TRAIN_ALL, type Algorithm, type QuantizerSite, type QuantizerValue } from "./algorithm.js";
import type { Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import { coverRange, quantizerOn, scaleIndex } from "./observers/index.js";
import { cheapestHarm } from "./search/knapsack.js";
import { atWidth } from "./search/runtimeGrid.js";
import { imagesOf } from "./search/batches.js";

/** Random directions at most; each costs two gradients on every calibration batch. */
const DIRECTIONS = 8;
/** Length of a step along a direction, as a part of the weights' root mean square. */
const STEP = 1e-2;

/**
 * Bits of each weight by its sensitivity, as HAWQ-V2 has it: the mean Hessian trace of the layer
 * times the squared error that quantization makes in its weights, summed, is least within the
 * budget.
 */
async function allocate(laboratory: Laboratory) {
  const { free, parameters, widths } = laboratory;
  if (free.length === 0) return { policy: {} };
  const traces = await hessianTraces(laboratory);
  const size = (site: QuantizerSite) => site.shape.reduce((a, b) => a * b, 1);
  const budget = free.reduce((sum, site) => sum + size(site) * site.scheme.bitWidth, 0);
  const choices = free.map((site) =>
    widths.weight.map((bitWidth) => ({
      bitWidth,
      cost: size(site) * bitWidth,
      harm:
        (traces[site.id] ?? NaN) *
        squaredError(atWidth(site, bitWidth), valueAt(parameters, site.id)),
    })),
  );
  const chosen = cheapestHarm(choices, budget);
  return { policy: Object.fromEntries(free.map(({ id }, i) => [id, chosen[i]?.bitWidth ?? NaN])) };
}

/**
 * The mean of each layer's Hessian diagonal by Hutchinson's method: the expectation of v * H v over
 * random signs v, where H v is the difference of the gradients on both sides along v.
 */
async function hessianTraces(laboratory: Laboratory): Promise<Readonly<Record<string, number>>> {
  const { calibration, free, parameters, visits, prepare, random, rounds } = laboratory;
  const names = free.map(({ id }) => id);
  const run = prepare({ by: names, training: false });
  const images = imagesOf(calibration);
  const perDirection = 2 * 3 * images;
  const left = Math.floor((visits.allowed - visits.used) / perDirection);
  const directions = Math.max(1, Math.min(DIRECTIONS, left));
  const none: Record<string, number> = Object.fromEntries(names.map((name) => [name, 0]));
  return rounds("directions", () => none, {
    most: directions,
    async round(sums, direction) {
      const signs = random(`direction ${String(direction)}`);
      const along = Object.fromEntries(
        names.map((name) => {
          const { shape, data } = valueAt(parameters, name);
          const length = STEP * rootMeanSquare(data);
          const step = data.map(() => (signs.integer(2) === 1 ? length : -length));
          return [name, { shape, data: step }];
        }),
      );
      const moved = (sign: 1 | -1) =>
        Object.fromEntries(
          names.map((name) => {
            const { shape, data } = valueAt(parameters, name);
            const step = valueAt(along, name).data;
            return [name, { shape, data: data.map((w, i) => w + sign * (step[i] ?? NaN)) }];
          }),
        );
      const next = { ...sums };
      for (const batch of calibration) {
        const plus = await run({ ...parameters, ...moved(1) }, batch);
        const minus = await run({ ...parameters, ...moved(-1) }, batch);
        for (const name of names) {
          const trace = traceAlong(
            valueAt(along, name).data,
            valueAt(plus.gradients, name).data,
            valueAt(minus.gradients, name).data,
          );
          next[name] = (next[name] ?? 0) + trace / (directions * calibration.length);
        }
      }
      return next;
    },
  });
}

/** v (g(w + e v) - g(w - e v)) / 2e, with e v = along and v of signs, as a mean over the weights. */
function traceAlong(along: Float32Array, after: Float32Array, before: Float32Array): number {
  const size = Math.abs(along[0] ?? 1);
  const product = along.reduce(
    (sum, a, i) => sum + (a / size) * ((after[i] ?? NaN) - (before[i] ?? NaN)),
    0,
  );
  return product / (2 * size) / along.length;
}

function valueAt(values: Readonly<Record<string, QuantizerValue>>, name: string): QuantizerValue {
  const value = values[name];
  if (value === undefined) throw new TypeError(`there is no "${name}"`);
  return value;
}

const rootMeanSquare = (data: ArrayLike<number>): number =>
  Math.sqrt(Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length) || 1e-3;

/**
 * Sum over the weights of the squared error that the grid between their extremes makes, which is what
 * the authors' code rounds to before it trains.
 */
export function squaredError(
  site: QuantizerSite,
  { data }: { readonly data: ArrayLike<number> },
): number {
  const scaleAt = scaleIndex(site);
  const ranges: { min: number; max: number }[] = [];
  Array.from(data).forEach((weight, i) => {
    const range = (ranges[scaleAt(i)] ??= { min: weight, max: weight });
    range.min = Math.min(range.min, weight);
    range.max = Math.max(range.max, weight);
  });
  const quantizers = ranges.map((range) => quantizerOn(coverRange(range, site), site));
  return Array.from(data).reduce((sum, weight, i) => {
    const error = (quantizers[scaleAt(i)]?.(weight) ?? NaN) - weight;
    return sum + error * error;
  }, 0);
}

/** Bits by the curvature of the loss: flat layers get few, sharp ones many. */
export const hawq = {
  name: "hawq",
  title: "HAWQ",
  version: 3,
  source: {
    title:
      "HAWQ-V2: Hessian Aware trace-Weighted Quantization of Neural Networks (Dong et al., NeurIPS 2020); HAWQ-V3 (Yao et al., ICML 2021) for the integer program",
    url: "https://arxiv.org/abs/1911.03852",
  },
  deviations: [
    "Bits of weights alone are searched among 2, 3, 4, 6 and 8, within the size that the matrix's bit width would have; first and last layer keep theirs.",
    "Hessian products are finite differences of gradients (Hutchinson's method), on the calibration batches and along 8 random directions; the authors' PyHessian takes up to 100, until the mean changes by less than a thousandth.",
    "Sensitivities are those of the weights before batch norm is folded.",
    "The integer program is solved exactly by dynamic programming.",
    "Errors of weights are those of the grid between their extremes, as in the authors' code, though training starts from LSQ's grids; it is trained as LSQ.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "size" },
    candidates: [2, 3, 4, 6, 8],
    activations: false,
    run: allocate,
  },
} as const satisfies Algorithm;
