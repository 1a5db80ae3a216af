import { coverRange, extremes, observeMinMax, type Observer } from "./observer.js";

/** The extremes over all batches. */
export const minMaxObserver: Observer = {
  name: "minMax",
  observe: observeMinMax,
  grid: (batches, index, site) => coverRange(extremes(batches, index), site),
};
