import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { resolveScheme } from "../../pipelines/network/placeQuantizers.js";
import { quantizerOf } from "../../pipelines/quantizers.js";
import { integerCodes } from "../../pipelines/freeze.js";
import { normalValues, numbers, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const SHAPE = [3, 3, 4, 6];

/** Every algorithm, on every kind of tensor of every backend, at several widths. */
const cases = algorithms.flatMap((algorithm) =>
  backends.flatMap((backend) =>
    [2, 4, 8].flatMap((bitWidth) =>
      (["weight", "signed activation", "rectified activation"] as const).map((kind) => {
        const nonNegative = kind === "rectified activation";
        const role = kind === "weight" ? ("weight" as const) : ("activation" as const);
        const scheme = role === "weight" ? backend.weights : backend.activations;
        const place: QuantizerSite = {
          id: "site",
          role,
          scheme: resolveScheme(scheme, bitWidth, nonNegative),
          shape: role === "weight" ? SHAPE : SHAPE.slice(1),
          channelAxis: 3,
          nonNegative,
        };
        return {
          name: `${algorithm.name}, ${backend.name}, ${String(bitWidth)} bits, ${kind}`,
          algorithm,
          place,
        };
      }),
    ),
  ),
);

/** A tensor whose channels differ in size, as they do in networks. */
function sample({ nonNegative }: QuantizerSite, seed: number): tf.Tensor {
  const values = normalValues(
    SHAPE.reduce((a, b) => a * b),
    seed,
  );
  const scaled = values.map((value, i) => value * (0.3 + (i % 6) * 0.4));
  return tf.tensor(nonNegative ? scaled.map((v) => Math.max(v, 0)) : scaled, SHAPE);
}

function calibrated(algorithm: Algorithm, place: QuantizerSite) {
  const quantizer = quantizerOf(algorithm, place);
  const batches = [1, 2].map((seed) => toValues(quantizer.observe(sample(place, seed), place)));
  return { quantizer, values: quantizer.initialize(batches, place) };
}

describe.each(cases)("$name", ({ algorithm, place }) => {
  const { quantMin, quantMax } = rangeOf(place);

  test("puts every value on an integer grid of 2^b levels with an exact 0", () => {
    const { quantizer, values } = calibrated(algorithm, place);
    const x = sample(place, 3);
    const state = toTensors(values);
    const isWeight = place.role === "weight";
    const grid = quantizer.quantParams(state, place, isWeight ? x : undefined);
    const [scale, zeroPoint] = [grid.scale, grid.zeroPoint].map((t) =>
      Float32Array.from(t.dataSync()),
    );
    if (scale === undefined || zeroPoint === undefined) throw new Error("no grid");
    for (const step of scale) {
      expect(step).toBeGreaterThan(0);
      if (place.scheme.scaleForm === "powerOfTwo")
        expect(Number.isInteger(Math.log2(step))).toBe(true);
    }
    for (const zero of zeroPoint) {
      if (place.scheme.symmetric) expect(zero === 0).toBe(true);
      expect(Number.isInteger(zero) && zero >= quantMin && zero <= quantMax).toBe(true);
    }
    const y = quantizer.fakeQuantize(x, state, place);
    expect(y.shape).toEqual(x.shape);
    // Throws for a value off the grid or outside of the range.
    const where = isWeight ? place : { ...place, shape: SHAPE };
    const codes = integerCodes(where, Float32Array.from(y.dataSync()), { scale, zeroPoint });
    expect(new Set(codes).size).toBeLessThanOrEqual(2 ** place.scheme.bitWidth);
    expect(new Set(codes).size).toBeGreaterThan(1);
  });

  test("changes nothing the second time, and keeps the order of values", () => {
    const { quantizer, values } = calibrated(algorithm, place);
    const state = toTensors(values);
    const x = sample(place, 3);
    const y = quantizer.fakeQuantize(x, state, place);
    // DoReFa's and PACT's weight grid follows the weights, so a second pass has another grid.
    if (Object.keys(values).length > 0) {
      const again = numbers(quantizer.fakeQuantize(y, state, place));
      numbers(y).forEach((value, i) => {
        expect(again[i]).toBeCloseTo(value, 5);
      });
    }
    const channel = (tensor: tf.Tensor) => numbers(tensor.slice([0, 0, 0, 2], [3, 3, 4, 1]));
    const [before, after] = [channel(x), channel(y)];
    const order = [...before.keys()].sort((a, b) => (before[a] ?? 0) - (before[b] ?? 0));
    order.slice(1).forEach((index, i) => {
      expect(after[index]).toBeGreaterThanOrEqual((after[order[i] ?? 0] ?? 0) - 1e-6);
    });
  });

  test("passes finite gradients to x and non-zero ones to what it learns", () => {
    const { quantizer, values } = calibrated(algorithm, place);
    const learned = quantizer.learned.filter((name) => name in values);
    const state = toTensors(values);
    // Some values far outside, so that bounds and zero points are felt.
    const x = sample(place, 4).mul(8);
    const weights = tf.tensor(normalValues(x.size, 5), x.shape);
    const gradients = tf.grads((input, ...trained) => {
      const current = {
        ...state,
        ...Object.fromEntries(learned.map((n, i) => [n, trained[i] as tf.Tensor])),
      };
      return quantizer.fakeQuantize(input, current, place).mul(weights).sum();
    })([x, ...learned.map((name) => state[name] as tf.Tensor)]);
    for (const gradient of gradients) expect(numbers(gradient).every(Number.isFinite)).toBe(true);
    expect(numbers(gradients[0] as tf.Tensor).some((g) => g !== 0)).toBe(true);
    learned.forEach((name, i) => {
      const symmetricZero = name === "zeroPoint" && place.scheme.symmetric;
      if (!symmetricZero)
        expect(
          numbers(gradients[i + 1] as tf.Tensor).some((g) => g !== 0),
          name,
        ).toBe(true);
    });
  });

  test("leaks no tensor", () => {
    const { quantizer, values } = calibrated(algorithm, place);
    const x = sample(place, 3);
    const state = toTensors(values);
    const before = tf.memory().numTensors;
    tf.tidy(() => quantizer.fakeQuantize(x, state, place).sum()).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
