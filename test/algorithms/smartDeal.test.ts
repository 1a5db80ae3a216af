import { describe, expect, test } from "vitest";
import { blockForm, toRows } from "../../algorithms/decomposition/blocks.js";
import { rebuiltKernel } from "../../algorithms/decomposition/project.js";
import { signSwitch, type Switched } from "../../algorithms/decomposition/signSwitch.js";
import { decodeBlocks } from "../../algorithms/decomposition/storage.js";
import { byParts } from "../../algorithms/decomposition/switchTraining.js";
import type { QuantizerSite } from "../../algorithms/quantizer.js";
import { smartDeal } from "../../algorithms/smartDeal.js";
import { SYMMETRIC_PER_TENSOR } from "../../backends/scheme.js";
import { searchToy } from "../searching.js";

describe("the sign-switch rule", () => {
  const options = { threshold: 0.125, bar: 1, smallest: 1 / 64, largest: 1 };
  const all = (values: number[]) => Float32Array.from(values);

  test("moves by an octave what steps count for, within the range, and leaves masked zeros", () => {
    const { coefficients, counters } = signSwitch(
      {
        coefficients: all([0.5, -0.5, 0.5, -0.5, 0.25, 1, 1 / 64, 0, 0, 0]),
        steps: all([0.2, 0.2, -0.2, -0.2, 0.125, 0.2, -0.2, 0.2, -0.2, 0.2]),
        counters: new Float32Array(10),
        mask: all([1, 1, 1, 1, 1, 1, 1, 1, 1, 0]),
      },
      options,
    );
    const expected = [1, -0.25, 0.25, -1, 0.25, 1, 1 / 64, 1 / 64, -1 / 64, 0];
    expect([...coefficients]).toEqual(expected);
    expect([...counters]).toEqual(Array(10).fill(0));
  });

  test("waits for the bar, and steps both ways cancel out", () => {
    let state: Switched = { coefficients: all([0.5, 0.5]), counters: new Float32Array(2) };
    const seen = [
      [0.2, 0.2],
      [0.2, -0.2],
      [0.2, 0.2],
    ].map((steps) => {
      state = signSwitch(
        { ...state, steps: all(steps), mask: all([1, 1]) },
        { ...options, bar: 3 },
      );
      return [...state.coefficients, ...state.counters];
    });
    expect(seen).toEqual([
      [0.5, 0.5, 1, 1],
      [0.5, 0.5, 2, 0],
      [1, 0.5, 0, 1],
    ]);
  });
});

test("gradients of coefficients and bases are those of the product, by differences of it", () => {
  const site: QuantizerSite = {
    ...{ id: "a/kernel", role: "weight", shape: [3, 3, 4, 2], channelAxis: 3 },
    ...{ nonNegative: false, multiplications: 0, scheme: { ...SYMMETRIC_PER_TENSOR, bitWidth: 8 } },
  };
  const form = blockForm(site);
  if (form === undefined) throw new Error("no form");
  const some = (count: number, seed: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed + 7 * i)));
  const slopes = some(72, 1);
  const [coefficients, basis] = [some(72, 2), some(18, 3)];
  coefficients[5] = 0;
  // The loss is the sum of slopes times weights, rows of three times their block's basis.
  const rows = toRows(form, slopes);
  const loss = (c: ArrayLike<number>, b: ArrayLike<number>) =>
    rows.reduce((sum, slope, i) => {
      const [row, out] = [Math.floor(i / 3), i % 3];
      const block = row < 12 ? 0 : 9;
      const weight = [0, 1, 2].reduce(
        (total, k) => total + (c[row * 3 + k] ?? NaN) * (b[block + k * 3 + out] ?? NaN),
        0,
      );
      return sum + slope * weight;
    }, 0);
  const found = byParts(
    [{ site, form }],
    {
      "a/kernel coefficients": { shape: [72], data: coefficients },
      "a/kernel basis": { shape: [18], data: basis },
    },
    { "a/kernel": { shape: [3, 3, 4, 2], data: slopes } },
  );
  expect(Object.keys(found)).not.toContain("a/kernel");
  const shifted = (values: Float32Array, i: number, by: number) =>
    Float64Array.from(values, (value, j) => (i === j ? value + by : value));
  for (const i of [0, 4, 40, 71]) {
    const slope = loss(shifted(coefficients, i, 1), basis) - loss(coefficients, basis);
    expect(found["a/kernel coefficients"]?.data[i]).toBeCloseTo(slope, 5);
  }
  for (const i of [0, 5, 17]) {
    const slope = loss(coefficients, shifted(basis, i, 1)) - loss(coefficients, basis);
    expect(found["a/kernel basis"]?.data[i]).toBeCloseTo(slope, 5);
  }
  expect(found["a/kernel coefficients"]?.data[5]).toBe(0);
});

test("training never leaves the stored form, and ends with the same bits when it is killed", async () => {
  const { deaths: none, ...whole } = await searchToy(smartDeal, { bits: 8 });
  const { deaths, ...killed } = await searchToy(smartDeal, { bits: 8, killed: 0.1 });
  expect(none).toBe(0);
  expect(deaths).toBeGreaterThan(0);
  expect(killed).toEqual(whole);
  const decomposed = whole.sites.filter(({ id }) => `${id}:stored` in whole.tensors);
  expect(decomposed.map(({ id }) => id)).toContain("s2.0.b/kernel");
  for (const one of decomposed) {
    const form = blockForm(one);
    const bytes = Uint8Array.from(whole.tensors[`${one.id}:stored`]?.data ?? []);
    if (form === undefined) throw new Error("no form");
    expect(rebuiltKernel(form, decodeBlocks(form, bytes))).toEqual(whole.tensors[one.id]?.data);
  }
  expect(whole.search?.trace.length).toBeGreaterThanOrEqual(4);
});
