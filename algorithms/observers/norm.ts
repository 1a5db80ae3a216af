import * as tf from "#tf";
import { rangeOf, scaleShape, sharedAxes } from "../affine.js";
import { roundHalfToEven, statistic, usable, observeMinMax, type Observer } from "./observer.js";

/**
 * LSQ's first scale, 2 * mean(|x|) / sqrt(quantMax) (section 2.1 of Esser et al., 2020). On affine
 * grids the zero point puts the least value on quantMin, as in the MQBench toolkit; LSQ itself
 * knows none.
 */
export const normObserver: Observer = {
  name: "norm",
  observe(x, site) {
    const meanAbs = tf.mean(tf.abs(x), sharedAxes(x, site));
    return { ...observeMinMax(x, site), meanAbs: tf.reshape(meanAbs, scaleShape(site)) };
  },
  grid(batches, index, site) {
    const { quantMin, quantMax } = rangeOf(site);
    const means = statistic(batches, "meanAbs", index);
    const mean = means.reduce((a, b) => a + b, 0) / means.length;
    const scale = usable((2 * mean) / Math.sqrt(quantMax), site);
    if (site.scheme.symmetric) return { scale, zeroPoint: 0 };
    const min = site.nonNegative ? 0 : Math.min(...statistic(batches, "min", index));
    const zeroPoint = quantMin - roundHalfToEven(Math.fround(min / scale));
    return { scale, zeroPoint: Math.min(Math.max(zeroPoint, quantMin), quantMax) };
  },
};
