import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { apot } from "../../algorithms/apot.js";
import { dorefaMqbench } from "../../algorithms/dorefaMqbench.js";
import { dsqMqbench } from "../../algorithms/dsqMqbench.js";
import { logarithmic } from "../../algorithms/logarithmic.js";
import { lsq } from "../../algorithms/lsq.js";
import { qil } from "../../algorithms/qil.js";
import { qilMqbench } from "../../algorithms/qilMqbench.js";
import { tqt } from "../../algorithms/tqt.js";
import { int4, numbers, site, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const unsigned = { ...int4, signed: false };
const affine = { ...unsigned, symmetric: false };

describe("gradients that must not flow are zeros where weights are constant:", () => {
  test("DSQ as in MQBench, per channel", () => {
    const scheme = { ...int4, granularity: "perChannel" } as const;
    const place = site({ shape: [3, 2], channelAxis: 1, scheme });
    const w = tf.tensor2d([
      [0, 0.1],
      [0, -0.2],
      [0, 0.3],
    ]);
    const dw = numbers(tf.grad((v) => dsqMqbench.weight.fakeQuantize(v, {}, place).sum())(w));
    // Dead values lie on a whole step, where the staircase is least steep: with h = 1 / 1.2,
    // k = ln 4 and tanh(k / 2) = 3 / 5 its slope is h k (1 - 9 / 25).
    const least = (Math.log(4) / 1.2) * (16 / 25);
    for (const channel of [0, 2, 4]) expect(dw[channel]).toBeCloseTo(least, 5);
    expect(dw.every(Number.isFinite)).toBe(true);
  });

  test("APoT", () => {
    const place = site({ shape: [4] });
    const values = { alpha: tf.scalar(3) };
    const dw = tf.grad((v) => apot.weight.fakeQuantize(v, values, place).sum())(tf.fill([4], 0.3));
    // (w - mean) / (0 + 1e-5), mean and deviation constants.
    for (const gradient of numbers(dw)) expect(gradient / 1e5).toBeCloseTo(1, 5);
  });
});

describe("deviations divide by N - 1 in", () => {
  test("APoT", () => {
    // Of 1, 2, 3 it is 1: standardized -1, 0, 1, the levels at alpha 1 for 2 bits.
    const place = site({ shape: [3], scheme: { ...int4, bitWidth: 2 } });
    const y = apot.weight.fakeQuantize(tf.tensor1d([1, 2, 3]), { alpha: tf.scalar(1) }, place);
    const dAlpha = tf.grad((alpha) =>
      apot.weight
        .fakeQuantize(tf.tensor1d([1, 2, 3]), { alpha }, place)
        .slice([2], [1])
        .sum(),
    )(tf.scalar(1));
    expect(numbers(y).map(Math.round)).toEqual([-1, 0, 1]);
    // Inside, level - x / alpha: with a deviation of sqrt(2 / 3) 3 would lie outside, and give 1.
    expect(numbers(dAlpha)[0]).toBeCloseTo(0, 4);
  });

  test("DSQ as in MQBench", () => {
    const place = site({ shape: [3] });
    const { scale } = dsqMqbench.weight.quantParams({}, place, tf.tensor1d([-1, 0, 1]));
    expect(numbers(scale)[0]).toBeCloseTo(2.6 / 7.5, 6);
  });
});

test("tied maxima share the gradient of DoReFa's normalization", () => {
  const place = site({ shape: [3] });
  const dw = tf.grad((v) => dorefaMqbench.weight.fakeQuantize(v, {}, place).slice([2], [1]).sum())(
    tf.tensor1d([0.4, 0.4, 0.1]),
  );
  // d(t3 / (max + 1e-5)) / dmax = -t3 / (max + 1e-5)^2; each of the two gets half, through its tanh.
  const largest = Math.tanh(0.4);
  const whole = (-Math.tanh(0.1) / (largest + 1e-5) ** 2) * (1 - largest ** 2);
  expect(whole / 2).toBeCloseTo(-0.295, 3);
  expect(numbers(dw)[0]).toBeCloseTo(whole / 2, 5);
  expect(numbers(dw)[1]).toBeCloseTo(whole / 2, 5);
});

describe("QIL", () => {
  test("what is pruned gives gamma no gradient", () => {
    const values = { center: tf.scalar(1.5), distance: tf.scalar(1) };
    const gradient = (w: number) =>
      numbers(
        tf.grad((gamma) =>
          qil.weight.fakeQuantize(tf.tensor1d([w]), { ...values, gamma }, site({ shape: [1] })),
        )(tf.scalar(0.42)),
      )[0];
    expect(gradient(0.3)).toBe(0);
    // Inside, d(y^gamma) / dgamma = y^gamma ln y with y = (1.5 - 0.5) / 2.
    expect(gradient(1.5)).toBeCloseTo(0.5 ** 0.42 * Math.log(0.5), 5);
  });
});

describe("QIL as in MQBench", () => {
  const place = site({ role: "activation", shape: [3], nonNegative: true, scheme: unsigned });
  const x = tf.tensor2d([
    [0.5, 1.4, 2],
    [0.2, 4, 1],
  ]);
  const values = { center: tf.scalar(1.5), distance: tf.scalar(1), limit: tf.scalar(2) };

  test("divides by the root of the batch's values times the largest signed integer", () => {
    const [dCenter] = tf.grads((center, distance) =>
      qilMqbench.activation.fakeQuantize(x, { ...values, center, distance }, place).sum(),
    )([values.center, values.distance]) as [tf.Tensor, tf.Tensor];
    // 0.5, 1.4, 2 and 1 lie within [0.5, 2.5]; each falls by 1 / (2 distance) as the center rises.
    expect(numbers(dCenter)[0]).toBeCloseTo((4 * -0.5) / Math.sqrt(6 * 7), 5);
  });

  test("center and distance stay within half of the largest magnitude", () => {
    const limited = { ...values, limit: tf.scalar(1) }; // center 1, distance 1: x / 2
    const y = numbers(qilMqbench.activation.fakeQuantize(x, limited, place));
    expect(y[0]).toBeCloseTo(4 / 15, 5); // 3.75 parts of 15
    const start = qilMqbench.activation.initialize(
      [toValues(qilMqbench.activation.observe(x, place))],
      place,
    );
    expect(start["limit"]?.data[0]).toBe(2);
    const w = tf.tensor1d([-0.6, 1]); // half of the largest magnitude is 0.5: |w|
    const weights = { center: tf.scalar(3), distance: tf.scalar(2) };
    const quantized = qilMqbench.weight.fakeQuantize(w, weights, site({ shape: [2] }));
    expect(numbers(quantized)[0]).toBeCloseTo(-4 / 7, 5);
  });
});

describe("logarithmic levels", () => {
  const values = { limit: tf.scalar(1) }; // m is -127
  const place = site({ role: "activation" });
  const least = 2 ** (-127 / 16);

  test("negative values below half of code 1, the least they have, are 0", () => {
    const x = [-0.51, -0.53, 0.51, 0.49].map((part) => part * least);
    const y = numbers(logarithmic.activation.fakeQuantize(tf.tensor1d(x), values, place));
    expect(Math.abs(y[0] ?? NaN)).toBe(0); // half of 2^(1/16) is 0.522
    expect(y[1]).toBeCloseTo(-(2 ** (-126 / 16)), 7);
    expect(y[2]).toBeCloseTo(least, 7);
    expect(Math.abs(y[3] ?? NaN)).toBe(0);
  });

  test("and the codebook says so", () => {
    const codebook = logarithmic.activation.codebook?.(values, place);
    const thresholds = codebook === undefined ? [] : numbers(codebook.thresholds);
    expect(thresholds.filter((t) => Math.abs(t) < 0.6 * least)).toEqual([
      expect.closeTo(-(2 ** (-126 / 16)) / 2, 9),
      expect.closeTo(least / 2, 9),
    ]);
  });
});

describe("what reached an end of its range can leave it:", () => {
  test("the zero point of LSQ", () => {
    const place = site({ role: "activation", shape: [1], scheme: affine });
    const dZero = tf.grad((zeroPoint) =>
      lsq.activation.fakeQuantize(tf.tensor1d([-4]), { scale: tf.scalar(1), zeroPoint }, place),
    )(tf.scalar(-0.4));
    expect(numbers(dZero)[0]).toBeCloseTo(-1 / Math.sqrt(15), 5); // -scale, divided as LSQ does
  });

  test("TQT's threshold of a tensor that was dead", () => {
    const place = site({ shape: [2], scheme: { ...int4, scaleForm: "powerOfTwo" } });
    const w = tf.zeros([2]);
    const start = toTensors(tqt.weight.initialize([toValues(tqt.weight.observe(w, place))], place));
    const log2Threshold = start["log2Threshold"] as tf.Tensor;
    const gradient = tf.grad((threshold) =>
      tqt.weight.fakeQuantize(tf.tensor1d([0.5, 0]), { log2Threshold: threshold }, place).sum(),
    )(log2Threshold);
    expect((numbers(gradient)[0] ?? NaN) / (7 * 2 ** -23 * Math.LN2)).toBeCloseTo(1, 5);
  });
});
