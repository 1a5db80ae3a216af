import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import { dorefa } from "../../algorithms/dorefa.js";
import { normalValues, numbers, site, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

test("quantizes tanh(w) / max|tanh(w)|, rescaled to the mean magnitude of w", () => {
  const w = normalValues(64, 3, 0.5);
  const tanh = w.map(Math.tanh);
  const largest = Math.max(...tanh.map(Math.abs));
  const normalized = tanh.map((t) => t / (largest + 1e-5));
  const meanAbs = (values: number[]) =>
    values.reduce((sum, v) => sum + Math.abs(v), 0) / values.length;
  const gain = meanAbs(w) / meanAbs(normalized);
  const scale = (Math.max(...normalized.map(Math.abs)) * gain) / 7.5;

  const actual = numbers(dorefa.weight.fakeQuantize(tf.tensor1d(w), {}, site({ shape: [64] })));
  actual.forEach((value, i) => {
    const steps = ((normalized[i] ?? NaN) * gain) / scale;
    // The extreme lies at 7.5 steps, where float noise decides between two levels.
    if (Math.abs(Math.abs(steps) - 7.5) < 1e-3) return;
    expect(value).toBeCloseTo(Math.round(steps) * scale, 4);
  });
});

test("clips activations to the unit interval below 8 bits, and to the calibrated range at 8", () => {
  const place = site({ role: "activation", nonNegative: true });
  const observed = [toValues(dorefa.activation.observe(tf.tensor1d([0, 5]), place))];
  const four = dorefa.activation.initialize(observed, {
    ...place,
    scheme: { ...place.scheme, signed: false },
  });
  expect(four["scale"]?.data[0]).toBeCloseTo(1 / 15, 6);
  const eight = dorefa.activation.initialize(observed, {
    ...place,
    scheme: { ...place.scheme, signed: false, bitWidth: 8 },
  });
  expect(eight["scale"]?.data[0]).toBeCloseTo(5 / 255, 6);
});
