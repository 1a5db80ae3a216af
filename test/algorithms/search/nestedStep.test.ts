import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { lsq } from "../../../algorithms/lsq.js";
import { codeAt, packPlanes, unpackPlanes } from "../../../algorithms/search/nestedCodes.js";
import { nestedStep } from "../../../algorithms/search/nestedStep.js";
import { normal } from "../../../algorithms/search/random.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import { int4, numbers, site } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

const random = (name: string) => randomStream(0, name);
const BITS = [2, 3, 4, 5, 6, 7, 8];
const ALL_CODES = Array.from({ length: 256 }, (_, i) => i - 128);

describe("P1, P2: codes", () => {
  test("of -8 to 7 with one and two bits dropped", () => {
    const codes = Array.from({ length: 16 }, (_, i) => i - 8);
    // Of four bits; dropping bits does not depend on how many there are.
    const dropped = (count: number) => codes.map((code) => codeAt(code, 8 - count));
    expect(dropped(1)).toEqual([-4, -4, -3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3]);
    expect(dropped(2)).toEqual([-2, -2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1]);
  });

  test.each(BITS)("of %i bits are the first planes, and fit without clipping", (bits) => {
    const planes = packPlanes(ALL_CODES);
    expect(planes).toHaveLength(8);
    expect(planes[0]).toHaveLength(32);
    const codes = [...unpackPlanes(planes.slice(0, bits), ALL_CODES.length)];
    expect(codes).toEqual(ALL_CODES.map((code) => code >> (8 - bits)));
    expect(Math.min(...codes)).toBe(-(2 ** (bits - 1)));
    expect(Math.max(...codes)).toBe(2 ** (bits - 1) - 1);
  });

  test("of another number than fits a byte, and those that no byte holds", () => {
    const codes = [5, -128, 127, -1, 0, 3, 77, -77, 1, -2, 6];
    expect([...unpackPlanes(packPlanes(codes), codes.length)]).toEqual(codes);
    expect(() => packPlanes([128])).toThrow(/code 128 is none of 8 bits/);
  });
});

/** A weight of values at a width, with steps of which each is twice the next. */
function tied(values: readonly number[], top: number, levels: "any" | "uniform") {
  const at = (bits: number): QuantizerSite =>
    site({ scheme: { ...int4, bitWidth: bits, levels }, shape: [values.length] });
  const step = (bits: number) => top * 2 ** (8 - bits);
  const quantized = (bits: number) =>
    numbers(
      nestedStep.fakeQuantize(
        tf.tensor1d([...values]),
        { top: tf.scalar(top), scale: tf.scalar(step(bits)) },
        at(bits),
      ),
    );
  return { at, step, quantized };
}

const GAUSSIAN = (() => {
  const numbersOf = random("weights");
  return Array.from({ length: 1e5 }, () => normal(numbersOf));
})();

describe("P3: weights", () => {
  test("lose one bit of a step with each width, where levels are whole steps", () => {
    const { quantized, step } = tied(GAUSSIAN.slice(0, 2000), 3.5 / 128, "uniform");
    for (const bits of BITS.slice(1)) {
      const narrower = quantized(bits - 1);
      const bit = quantized(bits).map((w, i) => (w - (narrower[i] ?? NaN)) / step(bits));
      for (const e of bit) expect(Math.abs(e - Math.round(e))).toBeLessThan(1e-3);
      expect(new Set(bit.map((e) => Math.abs(Math.round(e))))).toEqual(new Set([0, 1]));
      expect(Math.min(...bit)).toBeGreaterThan(-1e-3);
    }
  });

  // Relative squared errors on Gaussian weights that 3.5 deviations of are reached, computed elsewhere.
  test.each([
    [6, 0.0029, 0.0011],
    [4, 0.06, 0.017],
    [3, 0.25, 0.066],
    [2, 1.03, 0.26],
  ])("of %i bits have an error of %d as whole steps, %d between them", (bits, whole, centered) => {
    const errorOf = (levels: "any" | "uniform") => {
      const quantized = tied(GAUSSIAN, 3.5 / 128, levels).quantized(bits);
      return GAUSSIAN.reduce((sum, w, i) => sum + (w - (quantized[i] ?? NaN)) ** 2, 0) / 1e5;
    };
    expect(Math.abs(errorOf("uniform") / whole - 1)).toBeLessThan(0.07);
    expect(Math.abs(errorOf("any") / centered - 1)).toBeLessThan(0.07);
  });

  test("lie on the level that a codebook says", () => {
    const { at, quantized, step } = tied(GAUSSIAN.slice(0, 500), 3.5 / 128, "any");
    const values = { top: tf.scalar(3.5 / 128), scale: tf.scalar(step(3)) };
    const codebook = nestedStep.codebook?.(values, at(3));
    if (codebook === undefined) throw new Error("levels between steps are a codebook");
    const [levels, thresholds] = [numbers(codebook.levels), numbers(codebook.thresholds)];
    const expected = GAUSSIAN.slice(0, 500).map(
      (w) => levels[thresholds.filter((threshold) => threshold < w).length],
    );
    expect(quantized(3)).toEqual(expected);
    expect(nestedStep.codebook?.(values, at(8))).toBeUndefined();
  });

  test("have gradients of both steps' ratio, and steps LSQ's with the center", () => {
    const at = tied([0], 1, "any").at(4);
    const shaped = { ...at, shape: [4] };
    // Steps of 0.1 at 8 bits and 2 at 4 bits: codes 3 -> 0, -20 -> -2, 127 -> 7, -128 -> -8.
    const w = tf.tensor1d([0.31, -2.04, 13, -13]);
    const dy = tf.tensor1d([1, 2, 4, 8]);
    const [dw, dScale] = tf.grads((x: tf.Tensor, scale: tf.Tensor) =>
      nestedStep.fakeQuantize(x, { top: tf.scalar(0.1), scale }, shaped),
    )([w, tf.scalar(2)], dy);
    // 2 / (0.1 * 16) inside of -12.8 to 12.7.
    numbers(dw as tf.Tensor).forEach((g, i) => {
      expect(g).toBeCloseTo([1.25, 2.5, 0, 0][i] ?? NaN, 5);
    });
    const center = 15 / 32;
    const sum = 1 * center + 2 * (-2 + center) + 4 * (7 + center) + 8 * (-8 + center);
    expect(numbers(dScale as tf.Tensor)[0]).toBeCloseTo(sum / (Math.sqrt(4) * 8), 4);
  });

  test("at 8 bits are LSQ's, with gradients of steps divided by the largest code instead of its root", () => {
    const w = GAUSSIAN.slice(0, 600).map((x) => 2 * x);
    const at = site({ scheme: { ...int4, bitWidth: 8, levels: "any" }, shape: [600] });
    const results = (quantizer: typeof nestedStep) => {
      const grads = tf.grads((x: tf.Tensor, scale: tf.Tensor) =>
        quantizer.fakeQuantize(x, { scale }, at),
      )([tf.tensor1d(w), tf.scalar(0.03)], tf.tensor1d(GAUSSIAN.slice(600, 1200)));
      return [quantizer.fakeQuantize(tf.tensor1d(w), { scale: tf.scalar(0.03) }, at), ...grads];
    };
    const [own, theirs] = [results(nestedStep), results(lsq.weight)].map((all) =>
      all.map((tensor) => numbers(tf.add(tensor, 0))),
    );
    expect(own?.[0]).toEqual(theirs?.[0]);
    expect(own?.[1]).toEqual(theirs?.[1]);
    expect(own?.[2]?.[0]).toBeCloseTo((theirs?.[2]?.[0] ?? NaN) / Math.sqrt(127), 4);
  });
});
