import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { perScale, sampleDeviation, valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { magnitude, stopGradient, sumTo } from "./gradients.js";

/** Terms whose sums are the levels, by bits of magnitude (equation 5 and the authors' code). */
const TERMS: Readonly<Record<number, readonly (readonly number[])[]>> = {
  1: [[0, 1]],
  2: [[0, 2 ** -1, 2 ** -2, 2 ** -3]],
  3: [
    [0, 2 ** -1, 2 ** -2, 2 ** -4],
    [0, 2 ** -3],
  ],
  4: [
    [0, 2 ** -1, 2 ** -3, 2 ** -5],
    [0, 2 ** -2, 2 ** -4, 2 ** -6],
  ],
};
const INITIAL_ALPHA = { weight: 3, activation: 6 } as const;

const magnitudeBits = ({ scheme, nonNegative }: QuantizerSite): number =>
  nonNegative ? scheme.bitWidth : scheme.bitWidth - 1;

/** Levels from 0 to 1 in rising order; sums of one term of each set, scaled to end at 1. */
export function apotLevels(bits: number): readonly number[] {
  const terms = TERMS[bits];
  if (terms === undefined) throw new RangeError(`APoT has no levels of ${String(bits)} bits`);
  const sums = terms.reduce<number[]>(
    (all, set) => all.flatMap((sum) => set.map((term) => sum + term)),
    [0],
  );
  const largest = Math.max(...sums);
  return [...new Set(sums)].sort((a, b) => a - b).map((sum) => sum / largest);
}

/**
 * The level nearest to each magnitude in [0, 1]. Levels are whole multiples of a unit, so that
 * one look-up in a table of half units finds them.
 */
function nearestLevel(magnitude: tf.Tensor, bits: number): tf.Tensor {
  const levels = apotLevels(bits);
  const smallest = Math.min(...(TERMS[bits] ?? []).flat().filter((term) => term > 0));
  const units = Math.round(
    (TERMS[bits] ?? []).reduce((sum, set) => sum + Math.max(...set), 0) / smallest,
  );
  const table = Array.from({ length: 2 * units + 1 }, (_, i) => {
    const middle = (i + 0.5) / (2 * units);
    return levels.reduce((best, level) =>
      Math.abs(level - middle) < Math.abs(best - middle) ? level : best,
    );
  });
  const index = tf.cast(tf.floor(tf.mul(magnitude, 2 * units)), "int32");
  return tf.gather(tf.tensor1d(table), index);
}

/** alpha times the nearest level, with APoT's gradients (section 3.1, equation 8). */
function project(x: tf.Tensor, alpha: tf.Tensor, site: QuantizerSite): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, bound, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const parts = tf.div(values, bound);
    const clipped = tf.clipByValue(parts, site.nonNegative ? 0 : -1, 1);
    const level = nearestLevel(tf.abs(clipped), magnitudeBits(site));
    const projected = site.nonNegative ? level : tf.mul(level, tf.sign(clipped));
    save([parts, clipped, projected]);
    return {
      value: tf.mul(projected, bound),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [exact, limited, levels] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const inside = tf.cast(tf.equal(exact, limited), "float32");
        const dAlpha = tf.mul(dy, tf.sub(levels, tf.mul(inside, exact)));
        return [tf.mul(dy, inside), sumTo(dAlpha, bound.shape)];
      },
    };
  });
  return operation(x, alpha);
}

/**
 * Weights are standardized first (section 3.2); mean and deviation are constants to gradients, as
 * in the authors' code.
 */
function standardized(w: tf.Tensor): tf.Tensor {
  const { mean, deviation } = sampleDeviation(stopGradient(w), [...w.shape.keys()]);
  return tf.div(tf.sub(w, mean), tf.add(deviation, 1e-5));
}

const bound = (values: Parameters<Quantizer["fakeQuantize"]>[1]) =>
  magnitude(valueOf(values, "alpha"), 1e-5);

const additivePowers = codebookQuantizer({
  learned: ["alpha"],
  passes: "exact",
  observe: () => ({}),
  initialize: (_, site) => ({ alpha: perScale(site, () => INITIAL_ALPHA[site.role]) }),
  fakeQuantize(x, values, site) {
    const input = site.role === "weight" ? standardized(x) : x;
    return project(input, bound(values), site);
  },
  codebook(values, site) {
    const levels = apotLevels(magnitudeBits(site));
    const all = site.nonNegative
      ? levels
      : [
          ...levels
            .slice(1)
            .map((level) => -level)
            .reverse(),
          ...levels,
        ];
    const middles = all.slice(1).map((level, i) => (level + (all[i] ?? 0)) / 2);
    const alpha = bound(values);
    return {
      levels: tf.reshape(tf.mul(tf.tensor1d([...all]), alpha), [-1]),
      thresholds: tf.reshape(tf.mul(tf.tensor1d(middles), alpha), [-1]),
    };
  },
});

/** Additive Powers of Two: sums of a few powers of two as levels, dense where weights are. */
export const apot = {
  name: "apot",
  title: "APoT",
  version: 2,
  source: {
    title:
      "Additive Powers-of-Two Quantization: An Efficient Non-uniform Discretization for Neural Networks (Li et al., ICLR 2020)",
    url: "https://arxiv.org/abs/1909.13144",
  },
  deviations: [
    "Runs on the academic setting alone: levels are not uniform, and standardized weights need a batch norm behind the convolution.",
    "alpha starts at 3 for weights and at 6 for activations (as in MQBench); the authors' code takes 8 for activations.",
    "Deviations of weights have 1e-5 added (as in MQBench), so that constant weights stay finite; alpha stays above that, too.",
    "Activations that can be negative have levels of both signs, as weights have.",
    "alpha shares the weights' learning rate and decay.",
    "At 8 bits a min-max grid takes its place (as in MQBench).",
  ],
  weight: additivePowers,
  activation: additivePowers,
  phases: TRAIN_ALL,
  unsupported(site) {
    const bits = magnitudeBits(site);
    if (site.scheme.bitWidth >= 8 || bits in TERMS) return undefined;
    return `APoT defines levels of 1 to 4 bits of magnitude, got ${String(bits)}`;
  },
} as const satisfies Algorithm;
