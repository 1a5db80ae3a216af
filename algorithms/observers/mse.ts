import {
  coverRange,
  keptValues,
  observeValues,
  quantizerOn,
  rangeOfValues,
  type Grid,
  type Observer,
} from "./observer.js";

/** Parts of the extremes that are tried: 1, 0.99, ..., 0.06 (MQBench's grid). */
const TRIED_PARTS = Array.from({ length: 95 }, (_, i) => 1 - i / 100);
/** So many values decide, evenly spread. */
const SEARCH_VALUES = 2 ** 14;

/** The range, shrunk from the extremes on both sides alike, with the least mean squared error. */
export const mseObserver: Observer = {
  name: "mse",
  clips: true,
  observe: observeValues,
  grid(batches, index, site) {
    const values = keptValues(batches, index);
    const { min, max } = rangeOfValues(values);
    const stride = Math.max(1, Math.floor(values.length / SEARCH_VALUES));
    let best: Grid | undefined;
    let least = Infinity;
    for (const part of TRIED_PARTS) {
      const grid = coverRange({ min: min * part, max: max * part }, site);
      // Powers of two give the same grid for many ranges.
      if (grid.scale === best?.scale && grid.zeroPoint === best.zeroPoint) continue;
      const quantize = quantizerOn(grid, site);
      let error = 0;
      for (let i = 0; i < values.length; i += stride) {
        const value = values[i] ?? 0;
        const difference = quantize(value) - value;
        error += difference * difference;
      }
      if (error < least) [best, least] = [grid, error];
    }
    return best ?? coverRange({ min, max }, site);
  },
};
