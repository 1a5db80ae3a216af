import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { fakeQuantize, rangeOf } from "../../algorithms/affine.js";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import { squashedWeight } from "../../algorithms/dorefa.js";
import { generateStrategy, loweredDraws, sdq, type Pressure } from "../../algorithms/sdq.js";
import {
  binDistance,
  entropyRescaled,
  entropySquashed,
} from "../../algorithms/search/binRegularization.js";
import { atWidth } from "../../algorithms/search/runtimeGrid.js";
import { valuesAt } from "../../algorithms/search/siteValues.js";
import {
  drawInputs,
  drawnWeight,
  expectedBits,
  expectedError,
  freshDraw,
  gumbel,
  movedDraw,
  softChoice,
  type WidthDraw,
} from "../../algorithms/search/widthDraw.js";
import { backends } from "../../backends/index.js";
import { placesOf, toTensors } from "../../pipelines/conformance/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { searchToy } from "../searching.js";

beforeAll(() => tf.setBackend("cpu"));

const random = (name: string) => randomStream(0, name);
const places = placesOf(backends).filter(({ kind, site }) => {
  return kind === "weight" && site.scheme.bitWidth === 4 && site.scheme.levels !== "logarithmic";
});
const site = places.find(({ backend }) => backend === "academic")?.site as QuantizerSite;
const numbers = (x: tf.Tensor) => Array.from(x.dataSync());

/** A layer's values between two of the widths. */
const valuesFor = (
  of: QuantizerSite,
  draw: WidthDraw,
  { widths = [3, 4], noise = 0 }: { widths?: readonly number[]; noise?: number } = {},
) => valuesAt(of, toTensors(drawInputs(of, draw, { widths, noise })));

const kernel = (of: QuantizerSite) =>
  tf.tensor(
    Array.from({ length: of.shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 12.9898) / 3),
    [...of.shape],
  );

describe("P1: a draw between equal widths", () => {
  test.each(places)("is DoReFa to the bit: $backend", ({ site: place }) => {
    const w = kernel(place);
    for (const bits of [2, 4, 8]) {
      const plain = squashedWeight.fakeQuantize(w, {}, atWidth(place, bits));
      for (const noise of [-3, 3]) {
        const values = valuesFor(place, freshDraw(0), { widths: [bits], noise });
        expect(numbers(tf.sub(drawnWeight(w, values, place), plain)).every((d) => d === 0)).toBe(
          true,
        );
      }
    }
  });

  test.each(places)("moves weights as DoReFa does: $backend", ({ site: place }) => {
    const w = kernel(place);
    const values = valuesFor(place, freshDraw(0), { widths: [4] });
    const moved = tf.grad((x) => tf.sum(tf.mul(drawnWeight(x, values, place), tf.sin(x))))(w);
    const plain = tf.grad((x) =>
      tf.sum(tf.mul(squashedWeight.fakeQuantize(x, {}, atWidth(place, 4)), tf.sin(x))),
    )(w);
    expect(moved.shape).toEqual(w.shape);
    expect(tf.max(tf.abs(tf.sub(moved, plain))).dataSync()[0]).toBeLessThan(1e-5);
    expect(tf.max(tf.abs(moved)).dataSync()[0]).toBeGreaterThan(0.1);
  });

  test("and one whose wider width is certain never has the narrower", () => {
    const w = kernel(site);
    const plain = squashedWeight.fakeQuantize(w, {}, site);
    for (const noise of [-30, 0, 30]) {
      const values = valuesFor(site, { ...freshDraw(1), logit: Infinity }, { noise });
      expect(numbers(drawnWeight(w, values, site))).toEqual(numbers(plain));
    }
  });
});

test("P2: the wider width is drawn as often as beta says; cold choices are hard", () => {
  const numbersOf = random("draws");
  for (const beta of [0.1, 0.37, 0.9]) {
    const logit = Math.log(beta / (1 - beta));
    let wide = 0;
    for (let i = 0; i < 2000; i++) {
      const noise = gumbel(numbersOf) - gumbel(numbersOf);
      if (logit + noise >= 0) wide++;
    }
    expect(Math.abs(wide / 2000 - beta)).toBeLessThan(4 * Math.sqrt((beta * (1 - beta)) / 2000));
  }
  for (const [noise, hard] of [
    [0.01, 1],
    [-0.01, 0],
  ] as const) {
    const values = valuesFor(site, { ...freshDraw(1), logit: 0 }, { noise });
    expect(softChoice(values, 1e-4).dataSync()[0]).toBeCloseTo(hard, 6);
  }
});

describe("the loss of a draw", () => {
  // tanh(w) / max|tanh(w)| on signed 4- and 3-bit grids, in float64; beta = 0.75.
  const w = tf.tensor([0.11, -0.5, 0.9, -1.3, 0.42, 0.02, -0.07, 0.31, -0.24, 0.18, -0.8, 0.64]);
  const vector = { ...site, shape: [12], channelAxis: 0 };

  test("has the error and the bits of both widths, by their probabilities", () => {
    const values = valuesFor(vector, { ...freshDraw(1), logit: Math.log(3) });
    expect(expectedError(w, values, vector).dataSync()[0]).toBeCloseTo(0.0029551070198935827, 7);
    expect(expectedBits(values).dataSync()[0]).toBeCloseTo(3.75, 6);
  });

  test("P6: its gradients by the logit are those of the relaxed forward", () => {
    const draw = { ...freshDraw(1), logit: 0.4 };
    const noise = -1.1; // the narrower one is drawn; the gradient is of both
    const dy = tf.tensor(Array.from({ length: 12 }, (_, i) => Math.cos(i * 7)));
    const values = valuesFor(vector, draw, { noise });
    const along = (options: { noise: number }) =>
      numbers(drawnWeight(w, valuesFor(vector, draw, options), vector)).reduce(
        (sum, y, i) => sum + y * Math.cos(i * 7),
        0,
      );
    const [wide, narrow] = [along({ noise: 100 }), along({ noise: -100 })];
    const relaxed = (logit: number) => {
      const soft = 1 / (1 + Math.exp(-(logit + noise)));
      return wide * soft + narrow * (1 - soft);
    };
    const gradient = tf.grad((logit) =>
      tf.sum(tf.mul(drawnWeight(w, { ...values, logit }, vector), dy)),
    )(tf.scalar(draw.logit));
    const difference = (relaxed(draw.logit + 1e-5) - relaxed(draw.logit - 1e-5)) / 2e-5;
    expect(Math.abs(difference)).toBeGreaterThan(1e-3);
    expect(gradient.dataSync()[0]).toBeCloseTo(difference, 5);
    expect(along({ noise })).toBeCloseTo(narrow, 6);
  });

  test("the error is no reason to move weights", () => {
    const values = valuesFor(vector, { ...freshDraw(1), logit: 0 });
    const gradient = tf.grad((x) => expectedError(x, values, vector))(w);
    expect(numbers(gradient).every((g) => g === 0)).toBe(true);
  });
});

describe("P4: the decay rule", () => {
  test("takes the wider width when beta is below 0.1, one at a time, never the last", () => {
    let draw = freshDraw(2);
    const places: number[] = [draw.place];
    for (let i = 0; i < 400; i++) {
      draw = movedDraw(draw, 1, 0.1);
      places.push(draw.place);
    }
    expect(new Set(places)).toEqual(new Set([2, 1, 0]));
    expect(places).toEqual(places.toSorted((a, b) => b - a));
    const almost = movedDraw({ ...freshDraw(1), logit: -Math.log(9) + 0.02 }, 1, 0.1);
    expect(almost).toMatchObject({ place: 1 });
    const fresh = movedDraw(almost, 1, 0.1);
    expect(fresh.place).toBe(0);
    expect(1 / (1 + Math.exp(-fresh.logit))).toBeCloseTo(0.9, 12);
  });

  test("what is over the budget in the end loses the least probable width first", () => {
    const draws = {
      sure: { ...freshDraw(2), logit: 3 },
      doubtful: { ...freshDraw(2), logit: 0.5 },
      gone: { ...freshDraw(0), logit: -1 },
    };
    const lowered = loweredDraws(draws, (now) => now["doubtful"]?.place === 0);
    expect(lowered["sure"]).toBe(draws.sure);
    expect(lowered["gone"]).toBe(draws.gone);
    expect(() => loweredDraws(draws, () => false)).toThrow(/narrowest/);
  });
});

describe("P5: entropy-aware bin regularization", () => {
  const vector = { ...site, shape: [12], channelAxis: 0 };
  const w = tf.tensor([0.11, -0.5, 0.9, -1.3, 0.42, 0.02, -0.07, 0.31, -0.24, 0.18, -0.8, 0.64]);

  test.each([2, 3, 4, 8])("rescales to a mean magnitude of 2^(b-1) / (2^b - 1): b = %i", (b) => {
    const rescaled = entropyRescaled(w, atWidth(vector, b));
    expect(tf.mean(tf.abs(rescaled)).dataSync()[0]).toBeCloseTo(2 ** (b - 1) / (2 ** b - 1), 6);
  });

  // Mean and variance of each bin with two members or more, in float64; at 4 bits none has two.
  test.each([
    [2, 0.10513808564894164],
    [3, 0.026074227384635724],
    [4, 0],
  ])("sums squared distance of means and variances over bins: %i bits", (b, expected) => {
    const place = atWidth(vector, b);
    expect(binDistance(entropySquashed(w, place), place).dataSync()[0]).toBeCloseTo(expected, 4);
  });

  test("is 0 on bin targets alone", () => {
    // Whole steps of a grid that reaches 7.5 of them.
    const x = tf.tensor([-7.5, ...[3, 3, -2, -2, 0, 0, 5, 5, -6, -6, 1]]);
    expect(binDistance(x, vector).dataSync()[0]).toBeCloseTo(0, 9);
    const moved = tf.tensor([-7.5, ...[3.1, 3, -2, -2, 0, 0, 5, 5, -6, -6, 1]]);
    // Of a bin of two: the mean is 0.05 off, the variance 0.05^2, in units of 7.5 steps.
    expect(binDistance(moved, vector).dataSync()[0]).toBeCloseTo((2 * 0.05 ** 2) / 7.5 ** 2, 7);
  });

  test("a step along its gradient lowers the error of rounding", () => {
    for (const bits of [2, 3]) {
      const place = atWidth(site, bits);
      const weights = kernel(place);
      const error = (at: tf.Tensor) => {
        const x = entropySquashed(at, place);
        const { scale } = sdq.weight.quantParams({}, place, at);
        const y = fakeQuantize(x, scale, undefined, rangeOf(place));
        return tf.mean(tf.square(tf.sub(x, y))).dataSync()[0] ?? NaN;
      };
      const gradient = tf.grad((x) => binDistance(entropySquashed(x, place), place))(weights);
      const before = error(weights);
      expect(before).toBeGreaterThan(0);
      expect(error(tf.sub(weights, tf.mul(gradient, 0.01)))).toBeLessThan(before);
    }
  });
});

describe("on a network", () => {
  test("the search fits its budget, goes down only, and ends with the same bits when killed", async () => {
    const { deaths: none, ...first } = await searchToy(sdq);
    const { deaths, ...killed } = await searchToy(sdq, { killed: 0.1 });
    expect([none, deaths > 0]).toEqual([0, true]);
    expect(killed).toEqual(first);
    const { search, sites } = first;
    expect(search?.cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    const found = sites
      .filter(({ role }) => role === "weight")
      .map(({ scheme }) => scheme.bitWidth);
    expect([found[0], found.at(-1)]).toEqual([8, 8]);
    for (const bits of found) expect([2, 3, 4, 5, 6, 8]).toContain(bits);
    const trace = search?.trace ?? [];
    expect(trace.length).toBeGreaterThan(2);
    trace.slice(1).forEach(({ policy }, i) => {
      for (const [id, bits] of Object.entries(policy))
        expect(bits).toBeLessThanOrEqual(trace[i]?.policy[id] ?? NaN);
    });
  });

  test("P3: bits fall as their price rises, and rise with the weight of the error", async () => {
    const bitsUnder = async (pressure: Pressure): Promise<number> => {
      const algorithm: Algorithm = {
        ...sdq,
        search: { ...sdq.search, run: (laboratory) => generateStrategy(laboratory, pressure) },
      };
      // The last line before what is over the budget is taken away.
      const { search } = await searchToy(algorithm);
      return search?.trace.at(-1)?.cost ?? NaN;
    };
    const cheap = await bitsUnder({ error: 1, bits: 0.1 });
    const dear = await bitsUnder({ error: 1, bits: 1 });
    const precise = await bitsUnder({ error: 100, bits: 1 });
    expect(dear).toBeLessThan(cheap);
    expect(precise).toBeGreaterThan(dear);
  });
});
