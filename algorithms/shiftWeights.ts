import * as tf from "#tf";
import type { Quantizer, QuantizerSite } from "./algorithm.js";
import { codebookQuantizer } from "./codebook.js";
import { signs } from "./fewLevels.js";
import { straightThrough } from "./gradients.js";

const { LN2, SQRT2 } = Math;

/** The least exponent that bits of sign and exponent hold, the largest being 0. */
export const lowestExponent = (bits: number): number => 1 - 2 ** (bits - 1);

const exponents = ({ scheme }: QuantizerSite): readonly number[] => {
  const lowest = lowestExponent(scheme.bitWidth);
  return Array.from({ length: 1 - lowest }, (_, i) => lowest + i);
};

/**
 * sign(w) 2^p with p = round(log2 |w|) from the lowest exponent to 0; 0 counts as positive, and becomes the
 * smallest power. SmartExchange's nearest power is another one between 1.414 and 1.5 times a power.
 */
export function signedPower(w: tf.Tensor, lowest: number): tf.Tensor {
  const magnitude = tf.clipByValue(tf.abs(w), 2 ** lowest, 1);
  const about = tf.round(tf.div(tf.log(magnitude), LN2));
  // Logarithms differ between engines: what they say is held against the border, which is exact.
  const border = tf.mul(tf.pow(tf.fill([], 2), about), SQRT2);
  const above = tf.cast(tf.greaterEqual(magnitude, border), "float32");
  const below = tf.cast(tf.less(magnitude, tf.div(border, 2)), "float32");
  const exponent = tf.clipByValue(tf.add(about, tf.sub(above, below)), lowest, 0);
  return tf.mul(signs(w), tf.pow(tf.fill([], 2), exponent));
}

/** More exponents than these bits give are below all weights that there are (as in NASA). */
export const MOST_SHIFT_BITS = 6;

/** Weights that shift what they are multiplied with: a sign and an exponent, never 0. */
export const shiftWeights: Quantizer = codebookQuantizer({
  learned: [],
  operator: () => "shift",
  observe: () => ({}),
  initialize: () => ({}),
  fakeQuantize: (w, _, { scheme }) =>
    straightThrough(w, (x) => signedPower(x, lowestExponent(scheme.bitWidth))),
  codebook(_, site) {
    const positive = exponents(site).map((exponent) => 2 ** exponent);
    const borders = positive.slice(0, -1).map((power) => power * SQRT2);
    const bothSigns = (values: readonly number[], between: readonly number[] = []) =>
      tf.tensor1d([...values.map((value) => -value).reverse(), ...between, ...values]);
    return { levels: bothSigns(positive), thresholds: bothSigns(borders, [0]) };
  },
});
