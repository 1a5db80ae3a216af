import ln from "@stdlib/math-base-special-ln";
import * as tf from "#tf";
import type { Quantizer, QuantizerTensors, QuantizerValues } from "./algorithm.js";
import { perScale, rangeOf, valueOf } from "./affine.js";
import { gridsFrom, mseObserver, scaleIndex } from "./observers/index.js";

/** The rectified sigmoid reaches beyond 0 and 1, so that both can be met exactly (equation 23). */
const STRETCH_LOW = -0.1;
const STRETCH_HIGH = 1.1;
/** A variable so far out that its rounding is exactly 0 or 1. */
const DECIDED = 10;

/** h(V) of AdaRound: how far a weight is rounded up, 0 to 1. */
export function rectifiedSigmoid(v: tf.Tensor): tf.Tensor {
  const stretched = tf.add(tf.mul(tf.sigmoid(v), STRETCH_HIGH - STRETCH_LOW), STRETCH_LOW);
  return tf.clipByValue(stretched, 0, 1);
}

/** The variable whose rounding is `share`, 0 to 1. */
export function inverseRectifiedSigmoid(share: number): number {
  return -ln((STRETCH_HIGH - STRETCH_LOW) / (share - STRETCH_LOW) - 1);
}

/**
 * Weights whose rounding is learned (Nagel et al., 2020): each is put on the step below plus h(V).
 * V starts where h is the fraction that rounding removes; when training ends, h is 0 or 1.
 */
export const softRounding: Quantizer = {
  learned: ["rounding"],
  observe: (w, site) => ({ ...mseObserver.observe(w, site), kernel: tf.clone(w) }),
  initialize(batches, site) {
    const grids = gridsFrom(mseObserver, batches, site);
    const kernel = batches[0]?.["kernel"];
    const scale = grids["scale"]?.data;
    if (kernel === undefined || scale === undefined) throw new TypeError("no weights observed");
    const scaleAt = scaleIndex(site);
    const data = Float32Array.from(kernel.data, (weight, i) => {
      const steps = Math.fround(weight / (scale[scaleAt(i)] ?? 1));
      return inverseRectifiedSigmoid(steps - Math.floor(steps));
    });
    return {
      ...grids,
      zeroPoint: grids["zeroPoint"] ?? perScale(site, () => 0),
      rounding: { shape: kernel.shape, data },
    };
  },
  fakeQuantize(w, values, site) {
    const { quantMin, quantMax } = rangeOf(site);
    const { scale, zeroPoint } = this.quantParams(values, site);
    const below = tf.floor(tf.div(w, scale));
    const up = rectifiedSigmoid(valueOf(values, "rounding"));
    const code = tf.clipByValue(tf.add(tf.add(below, up), zeroPoint), quantMin, quantMax);
    return tf.mul(tf.sub(code, zeroPoint), scale);
  },
  quantParams: (values: QuantizerTensors) => ({
    scale: valueOf(values, "scale"),
    zeroPoint: valueOf(values, "zeroPoint"),
  }),
  finish({ rounding, ...values }): QuantizerValues {
    if (rounding === undefined) return values;
    const data = rounding.data.map((v) => (v >= 0 ? DECIDED : -DECIDED));
    return { ...values, rounding: { shape: rounding.shape, data } };
  },
};
