import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import * as tf from "#tf";
import { lsq } from "../../algorithms/lsq.js";
import { magnitudePruning } from "../../algorithms/magnitudePruning.js";
import { densityAt, largestOfAll, twoOfFour } from "../../algorithms/pruning.js";
import { twoFourPruning } from "../../algorithms/twoFourPruning.js";
import { AFFINE_PER_TENSOR } from "../../backends/scheme.js";
import { normalValues, numbers, site, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

test("density falls by the cubic schedule over half of the training and stays", () => {
  const densities = [0, 0.125, 0.25, 0.375, 0.5, 0.75, 1].map((t) => densityAt(t, 0.2));
  // 1 - 0.8 (1 - (1 - 2 t)^3)
  const expected = [1, 0.5375, 0.3, 0.2125, 0.2, 0.2, 0.2];
  densities.forEach((density, i) => {
    expect(density).toBeCloseTo(expected[i] ?? NaN, 12);
  });
});

test("the largest of all layers stay, as many as the density says", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { minLength: 3, maxLength: 60 }),
      fc.double({ min: 0.05, max: 1, noNaN: true }),
      (magnitudes, density) => {
        const signed = Float32Array.from(magnitudes, (m, i) => (i % 2 === 0 ? m : -m));
        const [a, b] = [site({ id: "a" }), site({ id: "b" })];
        const masks = largestOfAll(
          new Map([
            [a, signed.slice(0, 2)],
            [b, signed.slice(2)],
          ]),
          density,
        );
        const mask = [...(masks.get(a) ?? []), ...(masks.get(b) ?? [])];
        const kept = magnitudes.filter((_, i) => mask[i] === 1);
        const dropped = magnitudes.filter((_, i) => mask[i] === 0);
        expect(kept).toHaveLength(Math.max(1, Math.round(density * magnitudes.length)));
        expect(Math.min(...kept)).toBeGreaterThan(Math.max(0, ...dropped));
      },
    ),
  );
});

describe("2:4", () => {
  test("keeps the two largest of every four along the input channels", () => {
    const [rows, inputs, outputs] = [9, 8, 3];
    const data = Float32Array.from(normalValues(rows * inputs * outputs, 3));
    const place = site({ shape: [3, 3, inputs, outputs], channelAxis: 3 });
    const mask = twoOfFour({ shape: place.shape, data }, place);
    const at = (row: number, input: number, output: number) =>
      (row * inputs + input) * outputs + output;
    for (let row = 0; row < rows; row++) {
      for (let output = 0; output < outputs; output++) {
        for (const group of [0, 4]) {
          const places = [0, 1, 2, 3].map((i) => at(row, group + i, output));
          const sizes = places.map((i) => Math.abs(data[i] ?? 0)).toSorted((x, y) => y - x);
          const kept = places.filter((i) => mask[i] === 1).map((i) => Math.abs(data[i] ?? 0));
          expect(kept.toSorted((x, y) => y - x)).toEqual(sizes.slice(0, 2));
        }
      }
    }
  });

  test("leaves layers whole that it does not fit", () => {
    const whole = (shape: number[], channelAxis: number) => {
      const data = Float32Array.from(
        normalValues(
          shape.reduce((a, b) => a * b, 1),
          4,
        ),
      );
      return twoOfFour({ shape, data }, site({ shape, channelAxis })).every((m) => m === 1);
    };
    expect(whole([3, 3, 1, 8], 3)).toBe(true);
    expect(whole([3, 3, 6, 8], 3)).toBe(true);
    expect(whole([3, 3, 8, 1], 2)).toBe(true); // depthwise
    expect(whole([8, 10], 1)).toBe(false);
  });
});

/** Values of both quantizers after calibration on the same kernel. */
function calibrated(overrides: Parameters<typeof site>[0]) {
  const place = site({ shape: [1, 1, 8, 2], channelAxis: 3, ...overrides });
  const w = tf.tensor(normalValues(16, 5, 0.2), [1, 1, 8, 2]);
  const valuesOf = ({ weight }: typeof lsq | typeof magnitudePruning | typeof twoFourPruning) =>
    weight.initialize([toValues(weight.observe(w, place))], place);
  return { place, w, valuesOf };
}

test("with nothing masked it is LSQ, to the bit", () => {
  const { place, w, valuesOf } = calibrated({});
  const ours = magnitudePruning.weight.fakeQuantize(
    w,
    toTensors(valuesOf(magnitudePruning)),
    place,
  );
  const lsqs = lsq.weight.fakeQuantize(w, toTensors(valuesOf(lsq)), place);
  expect(numbers(ours)).toEqual(numbers(lsqs));
});

test("masked weights are exactly 0, whatever integer stands for it, and get their gradient", () => {
  const scheme = { ...AFFINE_PER_TENSOR, bitWidth: 4 };
  const { place, w, valuesOf } = calibrated({ scheme });
  const values = toTensors(valuesOf(twoFourPruning));
  const mask = numbers(values["mask"] as tf.Tensor);
  expect(mask.filter((m) => m === 0)).toHaveLength(8);
  const fakeQuantize = (x: tf.Tensor) => twoFourPruning.weight.fakeQuantize(x, values, place);
  const [dw] = tf.grads((x: tf.Tensor) => tf.sum(fakeQuantize(x)))([w]);
  const gradient = numbers(dw as tf.Tensor);
  const quantized = numbers(fakeQuantize(w));
  mask.forEach((m, i) => {
    if (m === 0) expect([Math.abs(quantized[i] ?? NaN), gradient[i]]).toEqual([0, 1]);
  });
  expect(quantized.some((q) => q !== 0)).toBe(true);
});
