import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { fixedGrid } from "../../algorithms/fixedGrid.js";
import {
  coverRange,
  extremes,
  klObserver,
  minMaxObserver,
  mseObserver,
  observeMinMax,
  observers,
  percentileObserver,
  type Observer,
} from "../../algorithms/observers/index.js";
import { magnitudeHistogram } from "../../algorithms/observers/histogram.js";
import { minMax } from "../../algorithms/minMax.js";
import { academic } from "../../backends/academic.js";
import { backends } from "../../backends/index.js";
import {
  calibrationProblems,
  checkAlgorithm,
  placesOf,
} from "../../pipelines/conformance/index.js";

beforeAll(() => tf.setBackend("cpu"));

const problems = async (observer: Observer) => {
  const wrong = fixedGrid(observer);
  const changed = { ...minMax, weight: wrong, activation: wrong };
  const { findings } = await checkAlgorithm(changed, [academic]);
  return findings.map(({ place, check, problem }) => `${place.kind}: ${check}: ${problem}`);
};

describe("calibration checks catch", () => {
  /** Every `stride`-th value in the order of the tensor, so that 65,536 are kept. */
  const strided = (observer: Observer, kept = 65536): Observer => ({
    ...observer,
    observe(x) {
      const stride = Math.ceil(x.size / kept);
      const count = Math.floor(x.size / stride);
      const rows = tf.reshape(tf.slice(tf.reshape(x, [-1]), [0], [count * stride]), [
        count,
        stride,
      ]);
      const values = tf.reshape(tf.slice(rows, [0, 0], [count, 1]), [1, count]);
      return { min: tf.min(values), max: tf.max(values), values };
    },
  });

  test.each([mseObserver, percentileObserver, klObserver])(
    "$name of every other value, which sees every other channel",
    async (observer) => {
      const found = (await problems(strided(observer))).join("\n");
      expect(found).toMatch(/weight: calibration sees every channel.*output channel 1 is/);
      expect(found).toMatch(/activation: calibration sees every channel.* channel 1 is/);
    },
  );

  test("a sample of the first images", async () => {
    const first: Observer = {
      ...minMaxObserver,
      observe(x, site) {
        const [images = 1] = x.shape;
        return observeMinMax(tf.slice(x, [0, 0, 0, 0], [Math.ceil(images / 2), -1, -1, -1]), site);
      },
    };
    expect((await problems(first)).join("\n")).toMatch(/image 0 is loud, .* where image 31 is/);
  });

  test("a divergence that counts the zeros behind a ReLU", async () => {
    // The procedure of the slides, bin by bin, with the bin of 0 as it is.
    const counted: Observer = {
      ...klObserver,
      grid(batches, index, site) {
        const range = extremes(batches, index);
        const reach = Math.max(-range.min, range.max);
        const bins = magnitudeHistogram(batches, index, { bins: 2048, reach });
        let best = { divergence: Infinity, end: 2048 };
        for (let end = 128; end <= 2048; end += 8) {
          const divergence = divergenceOfSlides(bins, end, 2 ** site.scheme.bitWidth);
          if (divergence <= best.divergence) best = { divergence, end };
        }
        const threshold = (best.end * reach) / 2048;
        const [min, max] = [Math.max(range.min, -threshold), Math.min(range.max, threshold)];
        return coverRange({ min, max }, site);
      },
    };
    const found = (await problems(counted)).join("\n");
    expect(found).toMatch(/rectified activation: zeros behind a ReLU do not clip/);
  });
});

/** Kullback-Leibler divergence of so many levels from the histogram that is cut off behind `end`. */
function divergenceOfSlides(bins: Float64Array, end: number, levels: number): number {
  const reference = bins.slice(0, end);
  reference[end - 1] = (reference[end - 1] ?? 0) + bins.slice(end).reduce((a, b) => a + b, 0);
  const levelOf = (bin: number) => Math.floor((bin * levels) / end);
  const [mass, filled] = [new Float64Array(levels), new Float64Array(levels)];
  bins.subarray(0, end).forEach((count, bin) => {
    const level = levelOf(bin);
    mass[level] = (mass[level] ?? 0) + count;
    filled[level] = (filled[level] ?? 0) + Number(count > 0);
  });
  const quantized = Float64Array.from(reference, (_, bin) =>
    (bins[bin] ?? 0) > 0 ? (mass[levelOf(bin)] ?? 0) / (filled[levelOf(bin)] ?? 0) : 0,
  );
  const [p, q] = [reference, quantized].map((list) => list.reduce((a, b) => a + b, 0));
  return reference.reduce((sum, count, bin) => {
    const share = count / (p ?? NaN);
    return count === 0 ? sum : sum + share * Math.log(share / ((quantized[bin] ?? 0) / (q ?? NaN)));
  }, 0);
}

test.each(observers)("observer $name passes them", (observer) => {
  const places = placesOf(backends).filter(({ site }) => site.scheme.levels !== "logarithmic");
  expect(calibrationProblems(() => fixedGrid(observer), places)).toEqual([]);
});
