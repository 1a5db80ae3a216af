import { klObserver } from "./kl.js";
import { meanStdObserver } from "./meanStd.js";
import { minMaxObserver } from "./minMax.js";
import { movingAverageObserver } from "./movingAverage.js";
import { mseObserver } from "./mse.js";
import { normObserver } from "./norm.js";
import type { Observer } from "./observer.js";
import { percentileObserver } from "./percentile.js";

export * from "./observer.js";
export { klObserver } from "./kl.js";
export { meanStdObserver } from "./meanStd.js";
export { minMaxObserver } from "./minMax.js";
export { movingAverageObserver } from "./movingAverage.js";
export { mseObserver } from "./mse.js";
export { normObserver } from "./norm.js";
export { percentileObserver } from "./percentile.js";
export { keptValues, observeValues, sampleIndices } from "./values.js";

/** Every observer that a matrix can start quantizers with. */
export const observers: readonly Observer[] = [
  minMaxObserver,
  movingAverageObserver,
  percentileObserver,
  mseObserver,
  klObserver,
  normObserver,
  meanStdObserver,
];
