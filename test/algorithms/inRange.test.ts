import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import type { Quantizer, QuantizerSite } from "../../algorithms/algorithm.js";
import { dorefa } from "../../algorithms/dorefa.js";
import { dorefaMqbench } from "../../algorithms/dorefaMqbench.js";
import { lsq } from "../../algorithms/lsq.js";
import { lsqMqbench } from "../../algorithms/lsqMqbench.js";
import { pactMqbench } from "../../algorithms/pactMqbench.js";
import { tqt } from "../../algorithms/tqt.js";
import { tqtMqbench } from "../../algorithms/tqtMqbench.js";
import { int4, numbers, site } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const activation = (overrides: Partial<QuantizerSite> = {}) =>
  site({ role: "activation", shape: [], channelAxis: 0, ...overrides });
const powerOfTwo = activation({ scheme: { ...int4, scaleForm: "powerOfTwo" } });
const affine = activation({ scheme: { ...int4, symmetric: false, signed: false } });

/** Gradients of the sum of outputs: of x, then of each value by name. */
function gradients(
  quantizer: Quantizer,
  place: QuantizerSite,
  x: number[],
  values: Record<string, number>,
): Record<string, number[]> {
  const names = Object.keys(values);
  const all = tf.grads((input: tf.Tensor, ...state: tf.Tensor[]) => {
    const named = Object.fromEntries(names.map((name, i) => [name, state[i] as tf.Tensor]));
    return tf.sum(quantizer.fakeQuantize(input, named, place));
  })([tf.tensor1d(x), ...names.map((name) => tf.scalar(values[name] ?? NaN))]);
  return Object.fromEntries(["x", ...names].map((name, i) => [name, numbers(all[i] as tf.Tensor)]));
}

describe("what is in range is decided after rounding by", () => {
  test("TQT (equations 6 to 8)", () => {
    // Threshold 8, so the scale is 1: 7.3 rounds to 7, which is in range; -8.4 to -8.
    const near = gradients(tqt.activation, powerOfTwo, [7.3, -8.4], { log2Threshold: 3 });
    expect(near["x"]).toEqual([1, 1]);
    expect(near["log2Threshold"]?.[0]).toBeCloseTo(Math.LN2 * (7 - 7.3 + (-8 + 8.4)), 5);
    const far = gradients(tqt.activation, powerOfTwo, [7.6, -8.6], { log2Threshold: 3 });
    expect(far["x"]).toEqual([0, 0]);
    expect(far["log2Threshold"]?.[0]).toBeCloseTo(Math.LN2 * (7 - 8), 5);
  });

  test.each([
    // 7.5 rounds to 8, beyond; -8.5 to -8, inside; without -8, -7.5 rounds to it, beyond.
    [{ ...int4 }, [7.5, -8.5, -7.5, 7.49, -8.51], [0, 1, 1, 1, 0]],
    [{ ...int4, narrowRange: true }, [-7.5, -7.49], [0, 1]],
    [{ ...int4, narrowRange: true, rounding: "dpu" } as const, [-7.5, -7.51, 7.5], [1, 0, 0]],
    [{ ...int4, rounding: "dpu" } as const, [-8.5, -8.51], [1, 0]],
    [{ ...affine.scheme }, [-8.5, 7.5, 7.49], [1, 0, 1]], // TQT counts from the middle
  ])("a tie at the end goes where it is rounded, %j", (scheme, x, dx) => {
    expect(
      gradients(tqt.weight, site({ shape: [], scheme }), x, { log2Threshold: 3 })["x"],
    ).toEqual(dx);
    if (!scheme.symmetric) return;
    expect(gradients(lsqMqbench.weight, site({ shape: [], scheme }), x, { scale: 1 })["x"]).toEqual(
      dx,
    );
  });

  test("TQT in MQBench, whose threshold learns nothing", () => {
    const values = { log2Threshold: tf.scalar(3) };
    const dx = tf.grad((x) => tqtMqbench.weight.fakeQuantize(x, values, powerOfTwo).sum())(
      tf.tensor1d([7.3, 7.6]),
    );
    expect(numbers(dx)).toEqual([1, 0]);
  });

  test("LSQ in MQBench, with PyTorch's learnable fake quantization", () => {
    const { x, scale } = gradients(lsqMqbench.activation, activation(), [7.3], { scale: 1 });
    expect(x).toEqual([1]);
    expect(scale?.[0]).toBeCloseTo((7 - 7.3) / Math.sqrt(7), 5); // -0.113
    const published = gradients(lsq.activation, activation(), [7.3], { scale: 1 });
    expect(published["x"]).toEqual([0]);
    expect(published["scale"]?.[0]).toBeCloseTo(7 / Math.sqrt(7), 5); // 2.646
  });

  test("the same on affine grids, ends counted from the zero point", () => {
    const values = { scale: 0.5, zeroPoint: 3 };
    // Codes 0 and 15 lie at -1.5 and 6.
    const inside = gradients(lsqMqbench.activation, affine, [-1.7, 6.2], values);
    expect(inside["x"]).toEqual([1, 1]);
    expect(inside["zeroPoint"]?.[0]).toBeCloseTo(0, 6);
    const outside = gradients(lsqMqbench.activation, affine, [-1.8, 6.3, 6.3], values);
    expect(outside["x"]).toEqual([0, 0, 0]);
    expect(outside["zeroPoint"]?.[0]).toBeCloseTo((-3 * 0.5) / Math.sqrt(3 * 15), 6);
  });

  test("DoReFa in MQBench, weights and activations", () => {
    const place = activation({ nonNegative: true, scheme: { ...int4, signed: false } });
    const { x } = gradients(dorefaMqbench.activation, place, [1.03, 1.04], { scale: 1 / 15 });
    expect(x).toEqual([1, 0]); // 15.45 and 15.6 steps
    // The last code, 7, lies half a step below the largest weight, at 7.5; 0.96 of that is 7.2.
    const w = tf.tensor1d([1, Math.atanh(0.96 * Math.tanh(1)), 0.1]);
    const dw = [dorefaMqbench, dorefa].map(({ weight }) =>
      numbers(
        tf.grad((v) =>
          weight
            .fakeQuantize(v, {}, site({ shape: [3] }))
            .slice([1], [1])
            .sum(),
        )(w),
      ),
    );
    // d(tanh w / largest) / dw = (1 - tanh^2) / largest; the largest weight is what divides.
    const [largest, tanh] = [Math.tanh(1), 0.96 * Math.tanh(1)];
    expect(dw[0]?.[1]).toBeCloseTo((1 - tanh ** 2) / largest, 3);
    expect(dw[0]?.[0]).toBeCloseTo(-0.96 * ((1 - largest ** 2) / largest), 3);
    expect(dw[1]?.[1]).toBe(0);
  });
});

describe("LSQ in MQBench", () => {
  test("uses a negative scale by its magnitude", () => {
    const x = [0.7, -3, 9];
    const [plus, minus] = [0.5, -0.5].map((scale) => {
      const values = { scale: tf.scalar(scale) };
      return numbers(lsqMqbench.activation.fakeQuantize(tf.tensor1d(x), values, activation()));
    });
    expect(plus).toEqual([0.5, -3, 3.5]);
    expect(minus).toEqual(plus);
    const slope = (scale: number) =>
      gradients(lsqMqbench.activation, activation(), x, { scale })["scale"]?.[0];
    expect(slope(-0.5)).toBeCloseTo(-(slope(0.5) ?? NaN), 6);
  });
});

describe("PACT in MQBench", () => {
  test("both bounds of an affine grid learn", () => {
    const [alpha, beta] = [5.0861545, -1.214676];
    const found = gradients(pactMqbench.activation, affine, [2 * alpha, 2 * beta, 0.1], {
      alpha,
      beta,
    });
    expect(found["alpha"]).toEqual([1]);
    expect(found["beta"]).toEqual([1]);
    expect(found["x"]).toEqual([0, 0, 1]);
  });

  test("alpha of a signed grid learns where alpha / scale is less than 7.5 in float32", () => {
    const learns: boolean[] = [];
    for (let i = 1; i <= 400; i++) {
      const alpha = Math.fround(i * 0.0237);
      const steps = Math.fround(alpha / Math.fround(alpha / 7.5));
      const { alpha: gradient } = gradients(pactMqbench.activation, activation(), [20], { alpha });
      expect(gradient, String(alpha)).toEqual([steps < 7.5 ? 1 : 0]);
      learns.push(steps < 7.5);
    }
    const share = learns.filter(Boolean).length / learns.length;
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.3); // about one of five
  });
});
