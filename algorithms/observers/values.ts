import * as tf from "#tf";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "../algorithm.js";
import { scaleShape } from "../affine.js";

/** At most so many values of a tensor are kept for each scale and batch. */
const KEPT_VALUES = 2 ** 16;
/** The number whose multiples modulo 1 are nearest to even spacing, however many there are. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

/**
 * The values themselves, [scales, count]: all of them, or one of each of 65,536 equal stretches of a
 * tensor that has more for a scale.
 */
export function observeValues(x: tf.Tensor, site: QuantizerSite): QuantizerTensors {
  const scales = scaleShape(site).reduce((a, b) => a * b, 1);
  const count = x.size / scales;
  return { values: tf.reshape(kept(), [scales, -1]) };

  function kept(): tf.Tensor {
    if (scales === 1) return count <= KEPT_VALUES ? x : tf.gather(tf.reshape(x, [-1]), sample());
    const axis = site.channelAxis;
    const order = [axis, ...[...x.shape.keys()].filter((other) => other !== axis)];
    const rows = tf.reshape(tf.transpose(x, order), [scales, count]);
    return count <= KEPT_VALUES ? rows : tf.gather(rows, sample(), 1);
  }
  function sample(): tf.Tensor1D {
    return tf.tensor1d(sampleIndices(count, KEPT_VALUES), "int32");
  }
}

/**
 * Which of `count` values stand for all: one of each of `kept` equal stretches. Where in its stretch
 * follows the multiples of the golden ratio. A fixed place would step through the tensor in a period
 * that shares factors with the sizes of its axes, and meet the same few channels or columns again
 * and again; these multiples have no period, so that every index of every axis comes about as often
 * as it does in the tensor.
 */
export function sampleIndices(count: number, kept: number): Int32Array {
  return Int32Array.from({ length: kept }, (_, stretch) =>
    Math.floor(((stretch + ((stretch * GOLDEN_RATIO) % 1)) * count) / kept),
  );
}

/** What `observeValues` kept for the scale at `index`, of all batches together. */
export function keptValues(batches: readonly QuantizerValues[], index: number): Float32Array {
  const parts = batches.map(({ values }) => {
    const count = values?.shape[1] ?? 0;
    return values?.data.subarray(index * count, (index + 1) * count) ?? new Float32Array(0);
  });
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
