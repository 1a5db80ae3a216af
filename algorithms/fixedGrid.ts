import * as tf from "#tf";
import type { Quantizer } from "./algorithm.js";
import { fakeQuantize, rangeOf, valueOf } from "./affine.js";
import { gridsFrom, type Observer } from "./observers/index.js";

/** A grid that an observer chooses from calibration data and nothing changes later. */
export function fixedGrid(observer: Observer): Quantizer {
  return {
    learned: [],
    passes: "exact",
    startsFromGrid: true,
    observe: observer.observe,
    initialize: (batches, site) => gridsFrom(observer, batches, site),
    fakeQuantize: (x, values, site) =>
      fakeQuantize(x, valueOf(values, "scale"), values["zeroPoint"], rangeOf(site)),
    quantParams(values) {
      const scale = valueOf(values, "scale");
      return { scale, zeroPoint: values["zeroPoint"] ?? tf.zerosLike(scale) };
    },
  };
}
