import * as tf from "#tf";
import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { gridOver, sampleDeviation, scaleShape, sharedAxes } from "./affine.js";
import { softQuantize } from "./dsq.js";
import { fixedGrid } from "./fixedGrid.js";
import { stopGradient } from "./gradients.js";
import { movingAverageObserver } from "./observers/index.js";

const ALPHA = 0.4;
const DEVIATIONS = 2.6;

/** The soft staircase on a fixed grid; what lies beyond its ends gets no gradient. */
function onGrid(
  x: tf.Tensor,
  grid: { readonly scale: tf.Tensor; readonly zeroPoint?: tf.Tensor | undefined },
  site: QuantizerSite,
): tf.Tensor {
  return softQuantize(x, { ...grid, alpha: tf.fill(grid.scale.shape, ALPHA) }, site);
}

/** Mean +- 2.6 standard deviations of the weights as they are at each step. */
function weightGrid(w: tf.Tensor, site: QuantizerSite) {
  const { mean, deviation } = sampleDeviation(stopGradient(w), sharedAxes(w, site));
  const reach = tf.mul(deviation, DEVIATIONS);
  const shape = scaleShape(site);
  return gridOver(
    { low: tf.reshape(tf.sub(mean, reach), shape), high: tf.reshape(tf.add(mean, reach), shape) },
    site,
  );
}

const weight: Quantizer = {
  learned: [],
  passes: "exact",
  observe: () => ({}),
  initialize: () => ({}),
  fakeQuantize: (w, _, site) => onGrid(w, weightGrid(w, site), site),
  quantParams(_, site, w) {
    if (w === undefined) throw new TypeError("DSQ's weight grid depends on the weights");
    const { scale, zeroPoint } = weightGrid(w, site);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

const averaged = fixedGrid(movingAverageObserver);
const activation: Quantizer = {
  ...averaged,
  passes: "exact",
  fakeQuantize(x, values, site) {
    const { scale, zeroPoint } = averaged.quantParams(values, site);
    return onGrid(x, { scale, zeroPoint }, site);
  },
};

/** DSQ as the MQBench toolkit has it: fixed shape, ranges from statistics. */
export const dsqMqbench = {
  name: "dsqMqbench",
  title: "DSQ (as in MQBench)",
  version: 3,
  source: MQBENCH,
  deviations: [
    "Differs from DSQ as published: alpha is 0.4 throughout, and ranges follow statistics instead of being learned.",
    "The soft staircase is in use, as in the toolkit; in the code behind the paper's tables it is commented out, so that those rows are a plain straight-through estimator.",
    "Weights range over mean +- 2.6 deviations, as in the code behind the paper's tables; the toolkit's range also covers the extremes, so that it never clips.",
    "Ranges of activations stay as calibrated (a moving average of each batch's extremes); MQBench averages each sample's and goes on during training.",
  ],
  weight,
  activation,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
