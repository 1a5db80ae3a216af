import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { klObserver } from "../../../algorithms/observers/index.js";
import { entropyThreshold } from "../../../algorithms/observers/kl.js";
import { int4, site } from "../../support.js";
import { affine8, gridOf, quasiNormal } from "./support.js";

beforeAll(() => tf.setBackend("cpu"));

const relu = (value: number) => Math.max(value, 0);
const cube = (value: number) => value ** 3;
const normal = quasiNormal(65536);

/** 2,048 bins from 0 to the largest magnitude, counted in float64. */
function histogram(values: Float64Array) {
  const magnitudes = Float32Array.from(values, Math.abs);
  const reach = magnitudes.reduce((a, b) => Math.max(a, b), 0);
  const counts = new Float64Array(2048);
  for (const magnitude of magnitudes) {
    const bin = Math.min(2047, Math.floor((magnitude / reach) * 2048));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { counts, reach };
}

// Thresholds in bins that `_compute_amax_entropy` of NVIDIA's pytorch-quantization (1637a26, with NumPy
// 2.4 and SciPy 1.17) gives for these histograms, with `num_bits` and `unsigned` for so many levels.
describe("thresholds are those of NVIDIA's pytorch-quantization:", () => {
  test.each([
    ["relu(normal), 8 bits unsigned", normal.map(relu), 256, 1703],
    ["relu(normal), 8 bits signed", normal.map(relu), 128, 1799],
    ["relu(normal), 4 bits unsigned", normal.map(relu), 16, 1741],
    ["normal, 8 bits signed", normal, 128, 1844],
    ["normal, 4 bits signed", normal, 8, 1622],
    ["cubed normal, 8 bits signed", normal.map(cube), 128, 638],
    ["cubed normal, 4 bits signed", normal.map(cube), 8, 240],
    ["relu(cubed normal), 3 bits unsigned", normal.map((v) => relu(cube(v))), 8, 272],
    ["squared normal, 8 bits unsigned", normal.map((v) => v * v), 256, 1266],
    [
      "a few values among zeros",
      Float64Array.of(...new Array<number>(50).fill(0), 1, 2, 3, 4, 5, 30),
      256,
      2048,
    ],
  ])("%s", (_, values, levels, expected) => {
    expect(entropyThreshold(histogram(values).counts, levels)).toBe(expected);
  });
});

describe("the observer", () => {
  const rectified = (shape: number[], bitWidth: number) =>
    site({
      ...{ role: "activation", shape, channelAxis: shape.length, nonNegative: true },
      scheme: { ...int4, bitWidth, signed: false },
    });

  test("chooses the threshold of its bit width and sign", () => {
    const x = tf.tensor1d(Float32Array.from(normal));
    const { reach } = histogram(normal);
    const { scale } = gridOf(klObserver, [x], site({ shape: [normal.length] }));
    expect(scale * 7.5).toBeCloseTo((1622 / 2048) * reach, 5);
    const positive = histogram(normal.map(relu)).reach;
    const unsigned = gridOf(klObserver, [tf.relu(x)], rectified([normal.length], 8));
    expect(unsigned.scale * 255).toBeCloseTo((1703 / 2048) * positive, 5);
  });

  test("counts all values of large tensors and several batches: the histogram of all", () => {
    // Two batches of 262,144 values whose largest differ, each too large to be kept.
    const shape = [16, 32, 32, 16];
    const all = quasiNormal(2 * 262144).map((v, i) => relu(v) * (1 + (i % 16)));
    const batches = [0, 1].map((b) =>
      tf.tensor(Float32Array.from(all.subarray(b * 262144, (b + 1) * 262144)), shape),
    );
    const { counts, reach } = histogram(all);
    const { scale } = gridOf(klObserver, batches, rectified(shape.slice(1), 8));
    const threshold = ((scale * 255) / reach) * 2048;
    expect(Math.abs(threshold - entropyThreshold(counts, 256))).toBeLessThan(1);
  });

  test("is not moved by zeros behind a ReLU, however many", () => {
    const some = Float32Array.from(normal.map(relu));
    const more = new Float32Array(16 * some.length);
    some.forEach((value, i) => (more[16 * i + (i % 16)] = value));
    const [few, many] = [some, more].map((data) =>
      gridOf(klObserver, [tf.tensor1d(data)], rectified([data.length], 8)),
    );
    expect(many?.scale).toBeCloseTo(few?.scale ?? NaN, 6);
  });

  test("cuts both ends of an affine range at one magnitude", () => {
    // 0.01 of the values reach from -6 to 12, the others are normal.
    const values = Float32Array.from(normal, (v, i) => (i % 100 === 0 ? 3 + 9 * Math.sin(i) : v));
    const place = site({ role: "activation", shape: [values.length], scheme: affine8 });
    const { scale, zeroPoint } = gridOf(klObserver, [tf.tensor1d(values)], place);
    const threshold =
      (entropyThreshold(histogram(Float64Array.from(values)).counts, 128) / 2048) *
      values.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
    const low = Math.min(threshold, -values.reduce((a, v) => Math.min(a, v), 0));
    expect(scale * 255).toBeCloseTo(low + threshold, 4);
    expect(zeroPoint).toBe(Math.round(low / scale));
  });

  test("covers a constant and a tensor of zeros", () => {
    const place = site({ shape: [100] });
    expect(gridOf(klObserver, [tf.fill([100], 3)], place).scale).toBeCloseTo(3 / 7.5, 6);
    expect(gridOf(klObserver, [tf.zeros([100])], place).scale).toBeGreaterThan(0);
  });
});
