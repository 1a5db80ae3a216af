import type * as tf from "@tensorflow/tfjs";
import { MQBENCH } from "../backends/backend.js";
import type { Algorithm, Quantizer, QuantizerTensors } from "./algorithm.js";
import { fakeQuantize, perScale, rangeOf } from "./affine.js";
import { coverRange, extremes, observeMinMax } from "./observers.js";

/** Scale and zero point from the extremes of the calibration data; nothing is learned. */
export const minMaxQuantizer: Quantizer = {
  learned: [],
  observe: observeMinMax,
  initialize: (batches, site) => ({
    scale: perScale(site, (i) => coverRange(extremes(batches, i), site).scale),
    zeroPoint: perScale(site, (i) => coverRange(extremes(batches, i), site).zeroPoint),
  }),
  fakeQuantize(x, values, site) {
    const { scale, zeroPoint } = fixed(values);
    return fakeQuantize(x, scale, site.scheme.symmetric ? undefined : zeroPoint, rangeOf(site));
  },
  quantParams: fixed,
};

function fixed({ scale, zeroPoint }: QuantizerTensors): { scale: tf.Tensor; zeroPoint: tf.Tensor } {
  if (scale === undefined || zeroPoint === undefined) {
    throw new TypeError("a min-max quantizer needs a scale and a zeroPoint");
  }
  return { scale, zeroPoint };
}

/**
 * Post-training quantization by the extremes of weights and calibration activations: the
 * baseline, without any training.
 */
export const minMax = {
  name: "minMax",
  title: "Min-max (PTQ)",
  version: 1,
  source: MQBENCH,
  deviations: [],
  weight: minMaxQuantizer,
  activation: minMaxQuantizer,
  phases: [],
} as const satisfies Algorithm;
