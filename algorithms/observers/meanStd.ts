import * as tf from "#tf";
import { scaleShape, sharedAxes } from "../affine.js";
import { coverRange, observeMinMax, statistic, usable, type Observer } from "./observer.js";

const DEVIATIONS = 3;

/**
 * LSQ+'s first scale for weights, max(|mean - 3 sd|, |mean + 3 sd|) / 2^(bits - 1) (section 4.1 of
 * Bhalgat et al., 2020). The MQBench toolkit divides by twice that. Affine and unsigned grids
 * cover mean +- 3 sd within the extremes.
 */
export const meanStdObserver: Observer = {
  name: "meanStd",
  observe(x, site) {
    const axes = sharedAxes(x, site);
    const mean = tf.mean(x, axes, true);
    const difference = tf.sub(x, mean);
    const squares = tf.sum(tf.mul(difference, difference), axes);
    // As torch.std, which MQBench's observer calls: divided by one less than the number of values.
    const freedom = x.size / mean.size - 1;
    const variance = tf.div(squares, Math.max(freedom, 1));
    return {
      ...observeMinMax(x, site),
      mean: tf.reshape(mean, scaleShape(site)),
      deviation: tf.reshape(tf.sqrt(variance), scaleShape(site)),
    };
  },
  grid(batches, index, site) {
    const average = (name: string) => {
      const values = statistic(batches, name, index);
      return values.reduce((a, b) => a + b, 0) / values.length;
    };
    const reach = DEVIATIONS * average("deviation");
    const [low, high] = [average("mean") - reach, average("mean") + reach];
    const { symmetric, signed, bitWidth } = site.scheme;
    if (symmetric && signed) {
      const scale = Math.max(Math.abs(low), Math.abs(high)) / 2 ** (bitWidth - 1);
      return { scale: usable(scale, site), zeroPoint: 0 };
    }
    const min = Math.max(low, Math.min(...statistic(batches, "min", index)));
    const max = Math.min(high, Math.max(...statistic(batches, "max", index)));
    return coverRange({ min, max }, site);
  },
};
