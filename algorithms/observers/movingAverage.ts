import { coverRange, observeMinMax, statistic, type Observer } from "./observer.js";

/** Weight of the past, as in MQBench and PyTorch's moving-average observers of that name. */
const DECAY = 0.9;

/** The extremes of each batch, averaged exponentially in the order of the batches. */
export const movingAverageObserver: Observer = {
  name: "movingAverage",
  observe: observeMinMax,
  grid(batches, index, site) {
    const average = (name: "min" | "max") =>
      statistic(batches, name, index).reduce((old, latest) => DECAY * old + (1 - DECAY) * latest);
    return coverRange({ min: average("min"), max: average("max") }, site);
  },
};
