import * as tf from "#tf";
import { roundAs, scaleShape, sharedAxes, usableScale, valueOf } from "../affine.js";
import type { QuantizerSite, QuantizerTensors } from "../algorithm.js";
import { squashed } from "../dorefa.js";
import { stopGradient, straightThrough } from "../gradients.js";
import { bounds, clipLearned } from "../pact.js";

/** A grid whose integers are tensors, too. */
interface RuntimeGrid {
  readonly scale: tf.Tensor;
  readonly zeroPoint: tf.Tensor;
  readonly lowest: tf.Tensor;
  readonly highest: tf.Tensor;
}

/** PACT's two quantizers with the integers of `codesAt` as inputs; at any width the values of theirs. */
export const runtimePact = (
  x: tf.Tensor,
  values: QuantizerTensors,
  site: QuantizerSite,
): tf.Tensor => (site.role === "weight" ? squashedWeight : clippedActivation)(x, values, site);

/** Weights that tanh squashes, on the grid between their extremes. */
function squashedWeight(w: tf.Tensor, values: QuantizerTensors, site: QuantizerSite): tf.Tensor {
  const x = squashed(w);
  const constant = stopGradient(x);
  const [axes, shape] = [sharedAxes(x, site), scaleShape(site)];
  const low = tf.reshape(tf.min(constant, axes), shape);
  const high = tf.reshape(tf.max(constant, axes), shape);
  const { lowest, highest } = integers(values);
  const steps = tf.sub(highest, lowest);
  if (!site.scheme.symmetric) {
    const ends = { low: tf.minimum(low, 0), high: tf.maximum(high, 0) };
    return onGrid(x, affineGrid(ends, values, site), site);
  }
  // Half a step beyond the highest integer lies the larger end, as PyTorch's observers have it.
  const reach = tf.maximum(tf.abs(low), tf.abs(high));
  const scale = tf.div(reach, site.scheme.signed ? tf.div(steps, 2) : steps);
  return onGrid(x, symmetricGrid(scale, values, site), site);
}

/** Activations that are clipped at learned bounds. */
function clippedActivation(x: tf.Tensor, values: QuantizerTensors, site: QuantizerSite): tf.Tensor {
  const learned = bounds(values, site);
  const ends = { low: stopGradient(learned.low), high: stopGradient(learned.high) };
  const grid = site.scheme.symmetric
    ? symmetricGrid(tf.div(ends.high, integers(values).highest), values, site)
    : affineGrid(ends, values, site);
  const { scale, zeroPoint, lowest, highest } = grid;
  const clipped = clipLearned(x, learned, {
    low: tf.mul(scale, tf.sub(lowest, zeroPoint)),
    high: tf.mul(scale, tf.sub(highest, zeroPoint)),
  });
  return straightThrough(clipped, (y) => onGrid(y, grid, site));
}

/** Fake quantization on a constant grid; what lies within its ends has the gradient of the identity. */
function onGrid(
  x: tf.Tensor,
  { scale, zeroPoint, lowest, highest }: RuntimeGrid,
  { scheme }: QuantizerSite,
): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
    const [values, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const [low, high] = [tf.sub(lowest, zeroPoint), tf.sub(highest, zeroPoint)];
    const clipped = tf.minimum(tf.maximum(tf.div(values, scale), low), high);
    save([values, tf.mul(scale, low), tf.mul(scale, high)]);
    return {
      value: tf.mul(roundAs(scheme.rounding, clipped), scale),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [given, first, last] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const inside = tf.logicalAnd(tf.greaterEqual(given, first), tf.lessEqual(given, last));
        return tf.mul(dy, tf.cast(inside, "float32"));
      },
    };
  });
  return operation(x);
}

const integers = (values: QuantizerTensors) => ({
  lowest: valueOf(values, "lowest"),
  highest: valueOf(values, "highest"),
});

const symmetricGrid = (
  scale: tf.Tensor,
  values: QuantizerTensors,
  { scheme }: QuantizerSite,
): RuntimeGrid => ({
  scale: usableScale(scale, scheme),
  zeroPoint: tf.fill([], 0),
  ...integers(values),
});

/** The grid that covers two ends on either side of 0, with a whole zero point. */
function affineGrid(
  { low, high }: { readonly low: tf.Tensor; readonly high: tf.Tensor },
  values: QuantizerTensors,
  { scheme }: QuantizerSite,
): RuntimeGrid {
  const { lowest, highest } = integers(values);
  const scale = usableScale(tf.div(tf.sub(high, low), tf.sub(highest, lowest)), scheme);
  const zero = tf.sub(lowest, tf.round(tf.div(low, scale)));
  return { scale, lowest, highest, zeroPoint: tf.minimum(tf.maximum(zero, lowest), highest) };
}
