import * as tf from "#tf";
import { coveringGrid, fakeQuantize, rangeOf } from "../affine.js";
import type { QuantizerSite } from "../algorithm.js";
import { normalizedTanh, withMagnitudeOf } from "../dorefa.js";
import { stopGradient } from "../gradients.js";

/**
 * Weights whose mean magnitude is 2^(b-1) / (2^b - 1), b being the layer's bits: bell-shaped ones then fill
 * the bins between -1 and 1 about equally, which is most information.
 */
export function entropyRescaled(w: tf.Tensor, { scheme }: QuantizerSite): tf.Tensor {
  const mean = tf.mean(tf.abs(stopGradient(w)));
  const wanted = 2 ** (scheme.bitWidth - 1) / (2 ** scheme.bitWidth - 1);
  return tf.mul(w, tf.div(wanted, tf.add(mean, 1e-12)));
}

/** Rescaled weights as DoReFa squashes them, at the magnitude that they had. */
export const entropySquashed = (w: tf.Tensor, site: QuantizerSite): tf.Tensor =>
  withMagnitudeOf(w, normalizedTanh(entropyRescaled(w, site)));

/**
 * How far weights are from the values that they are rounded to: for every bin with two of them or more
 * the squared distance of their mean plus their variance, which together are their mean squared
 * distance; summed over the bins, in units where the grid reaches from -1 to 1.
 */
export function binDistance(x: tf.Tensor, site: QuantizerSite): tf.Scalar {
  const { quantMin, quantMax, ...range } = rangeOf(site);
  const levels = quantMax - quantMin + 1;
  const { scale, zeroPoint } = coveringGrid(x, site);
  const target = stopGradient(fakeQuantize(x, scale, zeroPoint, { ...range, quantMin, quantMax }));
  const codes = tf.sub(tf.add(tf.round(tf.div(target, scale)), zeroPoint ?? 0), quantMin);
  const bins = tf.cast<tf.Tensor1D>(tf.reshape(codes, [-1]), "int32");
  const members = tf.cast(tf.oneHot(bins, levels), "float32") as tf.Tensor2D;
  const counts = tf.sum(members, 0);
  const isShared = tf.cast(tf.greaterEqual(counts, 2), "float32");
  const weights = tf.reshape<tf.Rank.R2>(tf.div(isShared, tf.maximum(counts, 1)), [levels, 1]);
  const share = stopGradient(tf.reshape(tf.matMul(members, weights), x.shape));
  const distance = tf.div(tf.sub(x, target), tf.mul(scale, (levels - 1) / 2));
  return tf.sum(tf.mul(tf.square(distance), share));
}
