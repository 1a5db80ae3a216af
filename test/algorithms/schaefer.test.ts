import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { fakeQuantize, rangeOf } from "../../algorithms/affine.js";
import type { Algorithm, QuantizerSite, QuantizerValues } from "../../algorithms/algorithm.js";
import type { Experiment } from "../../algorithms/laboratory.js";
import { schaefer } from "../../algorithms/schaefer.js";
import {
  memoryAllowed,
  memoryOf,
  memoryPenalty,
  movedSlices,
} from "../../algorithms/search/memoryPenalty.js";
import { PERIOD } from "../../algorithms/search/sliceTraining.js";
import { bitsOf, multiplier, stepAndRange } from "../../algorithms/search/stepAndRange.js";
import { onnxruntime } from "../../backends/onnxruntime.js";
import { SYMMETRIC_PER_TENSOR, type QuantScheme } from "../../backends/scheme.js";
import { foldBatchNorm, placeQuantizers } from "../../pipelines/network/index.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { hyperparameters, searchToy } from "../searching.js";

beforeAll(() => tf.setBackend("cpu"));

const scheme: QuantScheme = { ...SYMMETRIC_PER_TENSOR, bitWidth: 4 };
const weight: QuantizerSite = {
  ...{ id: "w", role: "weight", scheme, shape: [4, 6], channelAxis: 1 },
  ...{ nonNegative: false, multiplications: 0 },
};
const sliced: QuantizerSite = { ...weight, scheme: { ...scheme, granularity: "perChannel" } };
const activation: QuantizerSite = {
  ...{ id: "a", role: "activation", scheme: { ...scheme, signed: false }, shape: [10] },
  ...{ channelAxis: 0, nonNegative: true, multiplications: 0 },
};
const value = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
const numbers = (x: tf.Tensor) => Array.from(x.dataSync());

describe("P1: bits of a slice", () => {
  test.each([
    [1, 0.1, false, 5],
    [1, 0.1, true, 4],
    [7, 1, false, 4],
    [7, 1, true, 3],
    [3, 1, true, 2],
    [15, 1, true, 4],
    [1, 1, false, 2],
  ])("range %d in steps of %d, unsigned %s: %i", (range, step, unsigned, expected) => {
    expect(bitsOf({ range, step }, unsigned, 1).bits).toBe(expected);
  });

  test("change with step and range as their logarithm does, and not at the least", () => {
    const smooth = (range: number, step: number) => Math.log2(range / step + 1);
    const { byRange, byStep } = bitsOf({ range: 1, step: 0.1 }, false, 2);
    expect(byRange).toBeCloseTo((smooth(1.00001, 0.1) - smooth(0.99999, 0.1)) / 2e-5, 5);
    expect(byStep).toBeCloseTo((smooth(1, 0.100001) - smooth(1, 0.099999)) / 2e-6, 5);
    expect(bitsOf({ range: 1, step: 0.1 }, false, 6)).toEqual({ bits: 6, byStep: 0, byRange: 0 });
  });
});

/** Values inside of the range and beyond both its ends. */
const x = tf.tensor([0.31, -0.74, 1.9, -2.6, 0.06, 0.55, -0.19, 3.3]);
const g = tf.tensor([0.5, -1.2, 0.7, 0.9, -0.3, 1.1, 0.4, -0.8]);

describe("rounding with learned step and range", () => {
  const gradients = (step: number, range: number, bend: number) =>
    tf.grads((values, d, most) =>
      tf.sum(tf.mul(stepAndRange(values, { step: d, range: most }, weight, bend), g)),
    )([x, tf.scalar(step), tf.scalar(range)]);

  test("P2: with fixed slices and straight-through rounding is the uniform quantizer", () => {
    const narrow = { ...scheme, narrowRange: true };
    const uniform = (values: tf.Tensor) =>
      fakeQuantize(values, tf.scalar(0.25), undefined, rangeOf({ ...weight, scheme: narrow }));
    const own = (values: tf.Tensor) =>
      stepAndRange(values, { step: tf.scalar(0.25), range: tf.scalar(7 * 0.25) }, weight, 0);
    expect(numbers(own(x))).toEqual(numbers(uniform(x)));
    const [a, b] = [own, uniform].map((f) => tf.grad((v) => tf.sum(tf.mul(f(v), g)))(x));
    expect(numbers(a as tf.Tensor)).toEqual(numbers(b as tf.Tensor));
  });

  test("P2: one slice for each channel, all alike, is one for the tensor", () => {
    const w = tf.tensor(
      Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [4, 6],
    );
    const each = { step: tf.fill([1, 6], 0.2), range: tf.fill([1, 6], 0.8) };
    const one = { step: tf.scalar(0.2), range: tf.scalar(0.8) };
    expect(numbers(stepAndRange(w, each, sliced))).toEqual(numbers(stepAndRange(w, one, weight)));
  });

  test("P4: gradients are those of the surrogate whose rounding errors are constants", () => {
    const [step, range] = [0.25, 1.6];
    const error = (value: number) => {
      const steps = Math.min(Math.max(value, -range), range) / step;
      return Math.round(steps) - steps;
    };
    const errors = numbers(x).map(error);
    const surrogate = (d: number, most: number, moved: readonly number[]) =>
      moved.reduce((sum, v, i) => {
        const clipped = Math.min(Math.max(v, -most), most);
        return sum + d * (clipped / d + (errors[i] ?? NaN)) * (numbers(g)[i] ?? NaN);
      }, 0);
    const [dx, dStep, dRange] = gradients(step, range, 0).map(numbers);
    const e = 1e-5;
    const at = numbers(x);
    expect(dStep?.[0]).toBeCloseTo(
      (surrogate(step + e, range, at) - surrogate(step - e, range, at)) / (2 * e),
      4,
    );
    expect(dRange?.[0]).toBeCloseTo(
      (surrogate(step, range + e, at) - surrogate(step, range - e, at)) / (2 * e),
      4,
    );
    dx?.forEach((slope, i) => {
      const moved = (by: number) => at.map((v, j) => (j === i ? v + by : v));
      const difference =
        (surrogate(step, range, moved(e)) - surrogate(step, range, moved(-e))) / (2 * e);
      expect(slope).toBeCloseTo(difference, 4);
    });
  });

  test("bent gradients follow the formulas", () => {
    // sum of g (round(v) - M v), and of g M over what is above minus what is below.
    const [step, range, bend] = [0.25, 1.6, 0.2];
    let [expectedStep, expectedRange] = [0, 0];
    numbers(x).forEach((v, i) => {
      const slope = numbers(g)[i] ?? NaN;
      const steps = Math.min(Math.max(v, -range), range) / step;
      const bent = slope * (1 + bend * Math.sign(slope) * (steps - Math.round(steps)));
      expectedStep += slope * Math.round(steps) - bent * steps;
      expectedRange += v > range ? bent : v < -range ? -bent : 0;
    });
    const [, dStep, dRange] = gradients(step, range, bend).map(numbers);
    expect(dStep?.[0]).toBeCloseTo(expectedStep, 4);
    expect(dRange?.[0]).toBeCloseTo(expectedRange, 4);
  });

  test.each(["weight", "activation"] as const)("P4: multipliers of a %s stay near 1", (role) => {
    const r = tf.tensor([0, 0.5, -0.5, 0.2, -0.4]);
    for (const sign of [1, -1]) {
      const m = numbers(multiplier(role, { g: tf.fill([5], sign * 3), r, bend: 5e-3 }));
      expect(m[0]).toBe(1);
      expect(m[1]).toBeCloseTo(1 + sign * 2.5e-3, 6);
      expect(m[2]).toBeCloseTo(1 - sign * 2.5e-3, 6);
      for (const one of m) expect(Math.abs(one - 1)).toBeLessThanOrEqual(2.5e-3 + 1e-6);
    }
    // atanh(0.38) / atanh(0.95) is 0.218399, in float64.
    const [flat] = numbers(multiplier(role, { g: tf.scalar(1), r: tf.scalar(0.2), bend: 1 }));
    expect(flat).toBeCloseTo(role === "weight" ? 1.2 : 1 + 0.5 * 0.218399, 5);
  });
});

describe("P3: the penalty", () => {
  const values = (weightStep: number, activationStep: number): QuantizerValues => ({
    "w:step": value(weightStep),
    "w:range": value(1),
    "a:step": value(activationStep),
    "a:range": value(1),
  });
  const sites = [weight, activation];

  test("and its gradients are 0 while both budgets hold", () => {
    const { penalty, gradients } = memoryPenalty(sites, values(1 / 7, 1 / 15));
    expect(penalty).toBe(0);
    for (const gradient of Object.values(gradients))
      expect(gradient.every((slope) => slope === 0)).toBe(true);
  });

  test("is the squared excess of each, as a part of the budget", () => {
    // 5 bits instead of 4 for weights; 6 instead of 4 for activations.
    expect(memoryOf(sites, values(1 / 15, 1 / 63))).toEqual({ weight: 24 * 5, activation: 60 });
    expect(memoryAllowed(sites)).toEqual({ weight: 96, activation: 40 });
    const { penalty, gradients } = memoryPenalty(sites, values(1 / 15, 1 / 63));
    expect(penalty).toBeCloseTo(0.25 ** 2 + 0.5 ** 2, 12);
    // 2 * 0.25 * 24 / 96 bits, each of which is 1 / (ln 2 (X/d + 1) d).
    const byRange = (0.125 * 15) / (Math.LN2 * 16);
    expect(gradients["w:range"]?.[0]).toBeCloseTo(byRange, 5);
    expect(gradients["w:step"]?.[0]).toBeCloseTo(-byRange * 15, 4);
  });

  test("is lowered by an update, whose size is a part of the step", () => {
    const before = values(1 / 40, 1 / 63);
    const { gradients } = memoryPenalty(sites, before);
    const gradient = (name: string, i: number) => gradients[name]?.[i] ?? NaN;
    const after = movedSlices(weight, before, { gradient, rate: 0.1, widest: 8 });
    expect(after["w:step"]?.data[0]).toBeCloseTo(1.1 / 40, 6);
    expect(after["w:range"]?.data[0]).toBeCloseTo(1 - 0.1 / 40, 6);
  });
});

test("P5: with one step, ranges of channels never cost more than that of the tensor", () => {
  const ranges = [0.9, 0.05, 0.4, 0.7, 0.11, 1];
  const each = { "w:step": value(...ranges.map(() => 0.03)), "w:range": value(...ranges) };
  const one = { "w:step": value(0.03), "w:range": value(Math.max(...ranges)) };
  const [a, b] = [memoryOf([sliced], each), memoryOf([weight], one)];
  expect(a.weight).toBeLessThan(b.weight);
  expect(a.weight).toBe(4 * (6 + 3 + 5 + 6 + 4 + 7));
});

describe("on a network", () => {
  test("both budgets hold, and killing it changes nothing", async () => {
    const { deaths: none, ...first } = await searchToy(schaefer);
    const { deaths, ...killed } = await searchToy(schaefer, { killed: 0.1 });
    expect([none, deaths > 0]).toEqual([0, true]);
    expect(killed).toEqual(first);
    const { search, sites } = first;
    expect(search?.cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    for (const role of ["weight", "activation"] as const) {
      const inner = sites.filter((site) => site.role === role).slice(1, -1);
      const bits = inner.map(({ shape, scheme: { bitWidth } }) => {
        return shape.reduce((a, b) => a * b, bitWidth);
      });
      const allowed = inner.map(({ shape }) => shape.reduce((a, b) => a * b, 4));
      const sum = (of: readonly number[]) => of.reduce((a, b) => a + b, 0);
      expect(sum(bits)).toBeLessThanOrEqual(sum(allowed));
    }
  });

  test("P6: steps and ranges move at every fifth step with bits, and at no other", async () => {
    const seen: number[] = [];
    const watched: Algorithm = {
      ...schaefer,
      search: {
        ...schaefer.search,
        run: (laboratory) =>
          schaefer.search.run({
            ...laboratory,
            prepare: (experiment: Experiment) => {
              const run = laboratory.prepare(experiment);
              return (inputs, batch) => {
                if (experiment.training) seen.push(inputs["s1.0.a/kernel:step"]?.data[0] ?? NaN);
                return run(inputs, batch);
              };
            },
          }),
      },
    };
    const { search } = await searchToy(watched);
    expect(search?.visits.used).toBeGreaterThan(500);
    // 17 of 41 steps are at one width.
    const changes = seen.flatMap((step, i) => (i > 0 && step !== seen[i - 1] ? [i - 17] : []));
    expect(changes.length).toBeGreaterThan(0);
    for (const at of changes) expect(at % PERIOD).toBe(0);
    expect(Math.min(...changes)).toBe(PERIOD);
  });

  test("channels have bits of their own where they have scales", async () => {
    const network = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
    const quantized = placeQuantizers(foldBatchNorm(network, onnxruntime.batchNorm), onnxruntime, {
      ...{ weights: 4, activations: 4 },
    });
    const { tensors, sites, search } = await searchToy(schaefer, {
      ...{ quantized, batchNorm: onnxruntime.batchNorm },
      hyperparameters: { ...hyperparameters, search: { ...hyperparameters.search, visits: 4000 } },
    });
    expect(search?.cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    const widths = sites
      .filter(({ role }) => role === "weight")
      .map((site) => {
        const at = (name: string) => {
          const tensor = tensors[`${site.id}:${name}`];
          return { shape: tensor?.shape ?? [], data: Float32Array.from(tensor?.data ?? []) };
        };
        const values = { step: at("step"), range: at("range") };
        const bits = schaefer.weight.bitWidths?.(values, site) ?? [];
        expect(bits).toHaveLength(site.shape[site.channelAxis] ?? 0);
        expect(Math.max(...bits)).toBe(site.scheme.bitWidth);
        return new Set(bits).size;
      });
    expect(Math.max(...widths)).toBeGreaterThan(1);
  });
});
