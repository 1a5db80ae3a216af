import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { apot, apotLevels } from "../../algorithms/apot.js";
import { mixedWidths, relativeCost, widthShares } from "../../algorithms/channelwise.js";
import { squashed } from "../../algorithms/dorefa.js";
import { softQuantize } from "../../algorithms/dsq.js";
import { logarithmic } from "../../algorithms/logarithmic.js";
import { lsqMqbench } from "../../algorithms/lsqMqbench.js";
import { lsqPlus } from "../../algorithms/lsqPlus.js";
import { pactMqbench } from "../../algorithms/pactMqbench.js";
import { palquant } from "../../algorithms/palquant.js";
import { qil } from "../../algorithms/qil.js";
import {
  inverseRectifiedSigmoid,
  rectifiedSigmoid,
  softRounding,
} from "../../algorithms/softRounding.js";
import { tqt } from "../../algorithms/tqt.js";
import { int4, normalValues, numbers, site, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const unsigned = { ...int4, signed: false };
const activation = (overrides = {}) =>
  site({ role: "activation", shape: [4], channelAxis: 1, ...overrides });

/** Central differences of a scalar function of one number. */
function slope(f: (x: number) => number, x: number, step = 1e-2): number {
  return (f(x + step) - f(x - step)) / (2 * step);
}

describe("LSQ+", () => {
  test("weights start at max(|mean - 3 sd|, |mean + 3 sd|) / 2^(bits - 1)", () => {
    // Mean 1; deviation (divided by N - 1) 2: the farther end is 7.
    const w = tf.tensor1d([-1, 3, 1]);
    const place = site({ shape: [3] });
    const values = lsqPlus.weight.initialize([toValues(lsqPlus.weight.observe(w, place))], place);
    expect(values["scale"]?.data[0]).toBeCloseTo(7 / 8, 6);
  });
});

describe("LSQ as in MQBench", () => {
  test("divides the scale's gradient by the root of all values of the batch", () => {
    const place = activation({ shape: [3] });
    const x = tf.tensor2d([
      [-9, -2.2, 0.3],
      [9, 0, 0],
    ]);
    const gradient = tf.grad((scale) =>
      lsqMqbench.activation.fakeQuantize(x, { scale }, place).sum(),
    )(tf.scalar(1));
    expect(numbers(gradient)[0]).toBeCloseTo((-8 + 0.2 - 0.3 + 7) / Math.sqrt(6 * 7), 6);
  });
});

describe("PACT as in MQBench", () => {
  const gradientOf = (x: number[], place: ReturnType<typeof site>) =>
    numbers(
      tf.grad((alpha: tf.Tensor) =>
        pactMqbench.activation.fakeQuantize(tf.tensor1d(x), { alpha }, place).sum(),
      )(tf.scalar(6)),
    )[0];

  test("a value clipped at alpha lies at 7.5 steps, beyond the signed grid: no gradient", () => {
    expect(gradientOf([9, 8], activation({ shape: [] }))).toBe(0);
  });

  test("the negative side and unsigned grids do learn", () => {
    expect(gradientOf([-9], activation({ shape: [] }))).toBe(-1);
    const place = activation({ shape: [], nonNegative: true, scheme: unsigned });
    expect(gradientOf([9], place)).toBe(1);
  });
});

describe("DoReFa's squashed weight", () => {
  test("has the derivative of what it computes, the gain being a constant", () => {
    const w = [0.3, -0.8, 0.5];
    const normalized = (x: number) => {
      const t = [x, -0.8, 0.5].map(Math.tanh);
      return (t[0] ?? 0) / (Math.max(...t.map(Math.abs)) + 1e-5);
    };
    const t = w.map(Math.tanh);
    const all = t.map((v) => v / (Math.max(...t.map(Math.abs)) + 1e-5));
    const mean = (list: number[]) => list.reduce((a, b) => a + Math.abs(b), 0) / list.length;
    const gradient = tf.grad((x) => squashed(x).slice(0, 1).sum())(tf.tensor1d(w));
    expect(numbers(gradient)[0]).toBeCloseTo((mean(w) / mean(all)) * slope(normalized, 0.3), 3);
  });
});

describe("DSQ's soft staircase", () => {
  const alpha = 0.4;
  /** Equations 3 to 8 without the last rounding, in double precision. */
  const soft = (u: number, a = alpha): number => {
    const k = Math.log(2 / a - 1);
    const middle = Math.floor(u) + 0.5;
    return middle + (0.5 / (1 - a)) * Math.tanh(k * (u - middle));
  };

  /** With a step of 1/2: x = u / 2. */
  const quantized = (u: tf.Tensor, a: tf.Tensor = tf.scalar(alpha)): tf.Tensor =>
    tf.mul(softQuantize(tf.div(u, 2), { alpha: a, scale: tf.scalar(0.5) }, site()), 2);

  test("meets itself at whole numbers", () => {
    expect(soft(1 - 1e-9)).toBeCloseTo(1, 6);
    expect(soft(1)).toBeCloseTo(1, 9);
  });

  test("rounds as deployment does, ties to even", () => {
    const u = tf.tensor1d([0.2, 0.5, 0.7, 1.5, 2.5, -0.5, -1.3, 3]);
    expect(numbers(quantized(u)).map((v) => v + 0)).toEqual([0, 0, 1, 2, 2, 0, -1, 3]);
  });

  test.each([0.1, 0.35, 0.5, 0.9, 2.2])(
    "has the tanh's derivative at %d, not the identity's",
    (u) => {
      const gradient = tf.grad((x) => quantized(x).sum())(tf.tensor1d([u]));
      expect(numbers(gradient)[0]).toBeCloseTo(slope(soft, u, 1e-4), 3);
      expect(Math.abs((numbers(gradient)[0] ?? 1) - 1)).toBeGreaterThan(1e-3);
    },
  );

  test("passes on what alpha does", () => {
    const gradient = tf.grad((a) => quantized(tf.tensor1d([0.3]), a).sum())(tf.scalar(alpha));
    expect(numbers(gradient)[0]).toBeCloseTo(
      slope((a) => soft(0.3, a), alpha, 1e-4),
      3,
    );
  });
});

describe("DSQ's scale", () => {
  test("has the gradient of scale * staircase(x / scale), codes rounded", () => {
    const [x, alpha] = [[0.3, -1.1, 0.74], 0.4];
    const gradient = tf.grad((s) =>
      softQuantize(tf.tensor1d(x), { alpha: tf.scalar(alpha), scale: s }, site()).sum(),
    )(tf.scalar(0.5));
    const k = Math.log(2 / alpha - 1);
    const expected = x.reduce((sum, value) => {
      const u = value / 0.5;
      const wave = Math.tanh(k * (u - Math.floor(u) - 0.5));
      const slope = (0.5 / (1 - alpha)) * k * (1 - wave ** 2);
      return sum + Math.round(u) - u * slope;
    }, 0);
    expect(numbers(gradient)[0]).toBeCloseTo(expected, 4);
  });
});

describe("TQT", () => {
  const place = site({ scheme: { ...int4, scaleForm: "powerOfTwo" } });

  test("the scale is 2^ceil(log2 t) over the steps above 0", () => {
    const { scale } = tqt.weight.quantParams({ log2Threshold: tf.scalar(Math.log2(5)) }, place);
    expect(numbers(scale)).toEqual([1]); // 5 -> 8, by 8 steps
  });

  test("the threshold's gradient is s ln 2 times LSQ's for the scale (equation 7)", () => {
    const x = tf.tensor1d([-9, -2.2, 0.3, 9]);
    const gradient = tf.grad((log2Threshold) =>
      tqt.weight.fakeQuantize(x, { log2Threshold }, place).sum(),
    )(tf.scalar(2.5)); // ceil: 3, so s = 1
    expect(numbers(gradient)[0]).toBeCloseTo(Math.LN2 * (-8 + 0.2 - 0.3 + 7), 5);
  });

  test("on affine integers 0 lies in the middle", () => {
    const affine = site({ scheme: { ...int4, signed: false, symmetric: false } });
    const { zeroPoint } = tqt.weight.quantParams({ log2Threshold: tf.scalar(0) }, affine);
    expect(numbers(zeroPoint)).toEqual([8]);
  });
});

describe("QIL", () => {
  const place = activation({ nonNegative: true, scheme: unsigned });
  const values = { center: tf.scalar(1.5), distance: tf.scalar(1) };

  test("prunes below center - distance and clips above center + distance", () => {
    const y = qil.activation.fakeQuantize(tf.tensor1d([0.4, 0.5, 1.5, 2.5, 9]), values, place);
    const [pruned, edge, middle, full, clipped] = numbers(y);
    expect([pruned, edge, full, clipped]).toEqual([0, 0, 1, 1]);
    expect(middle).toBeCloseTo(8 / 15, 6); // 0.5 of 15 parts, to even
  });

  test("gamma bends the weights' transformation", () => {
    const w = tf.tensor1d([-1.5]);
    const weight = site({ shape: [1] });
    const y = qil.weight.fakeQuantize(w, { ...values, gamma: tf.scalar(2) }, weight);
    expect(numbers(y)[0]).toBeCloseTo(-Math.round(7 * 0.25) / 7, 6);
  });
});

describe("APoT", () => {
  // Sums of powers of two, scaled to end at 1 (MQBench reference; the paper's equation 5).
  test("4 bits of magnitude have the sums of {0, 1/2, 1/8, 1/32} and {0, 1/4, 1/16, 1/64}", () => {
    const sums = [0, 32, 8, 2].flatMap((a) => [0, 16, 4, 1].map((b) => a + b));
    const expected = [...new Set(sums)].sort((a, b) => a - b).map((sum) => sum / 48);
    expect(apotLevels(4)).toHaveLength(16);
    apotLevels(4).forEach((level, i) => {
      expect(level).toBeCloseTo(expected[i] ?? NaN, 12);
    });
  });

  test("puts activations on the nearest level and learns alpha from both sides", () => {
    const place = activation({ nonNegative: true, scheme: unsigned });
    const x = normalValues(200, 3, 2).map(Math.abs);
    const y = numbers(apot.activation.fakeQuantize(tf.tensor1d(x), { alpha: tf.scalar(3) }, place));
    const alpha = 3 + 1e-5;
    x.forEach((value, i) => {
      const clipped = Math.min(value / alpha, 1);
      const nearest = apotLevels(4).reduce((best, level) =>
        Math.abs(level - clipped) < Math.abs(best - clipped) ? level : best,
      );
      expect(y[i]).toBeCloseTo(nearest * alpha, 4);
    });
    const gradient = tf.grad((a) =>
      apot.activation.fakeQuantize(tf.tensor1d([9, 1.4]), { alpha: a }, place).sum(),
    )(tf.scalar(3));
    // 9 is clipped: 1. 1.4 / 3 lies nearest to 20 / 48 or 24 / 48: level - 1.4 / 3.
    const inside = [...apotLevels(4)].sort(
      (a, b) => Math.abs(a - 1.4 / alpha) - Math.abs(b - 1.4 / alpha),
    )[0];
    expect(numbers(gradient)[0]).toBeCloseTo(1 + (inside ?? NaN) - 1.4 / alpha, 4);
  });
});

describe("logarithmic levels", () => {
  // m = round(16 log2 c) - 127 is 1 for c = 256, so the smallest level is 2^(1/16).
  const values = { limit: tf.scalar(256) };
  const quantize = (x: number[]) =>
    numbers(logarithmic.activation.fakeQuantize(tf.tensor1d(x), values, activation()));

  test("are powers of 2^(1/16), mirrored, with 0 below half the smallest", () => {
    const smallest = 2 ** (1 / 16);
    const [zero, least, largest, negative, tiny] = quantize([0.5, 0.6, 1000, -256, -0.7]);
    expect(zero).toBe(0);
    expect(least).toBeCloseTo(smallest, 5);
    expect(largest).toBeCloseTo(256, 2);
    expect(negative).toBeCloseTo(-256, 2);
    expect(tiny).toBeCloseTo(-(2 ** (2 / 16)), 5); // negative codes start at 1
  });

  test("gradients pass as they are", () => {
    const gradient = tf.grad((x) =>
      logarithmic.activation.fakeQuantize(x, values, activation()).sum(),
    )(tf.tensor1d([1000, 3]));
    expect(numbers(gradient)).toEqual([1, 1]);
  });
});

describe("soft rounding", () => {
  test("h is the stretched sigmoid, and its inverse finds V", () => {
    const share = 0.3;
    expect(numbers(rectifiedSigmoid(tf.scalar(inverseRectifiedSigmoid(share))))[0]).toBeCloseTo(
      share,
      6,
    );
    expect(numbers(rectifiedSigmoid(tf.tensor1d([-10, 10])))).toEqual([0, 1]);
  });

  test("h has its derivative, and the quantizer the scale times that", () => {
    const h = (v: number) => 1.2 / (1 + Math.exp(-v)) - 0.1;
    const gradient = tf.grad((v) => rectifiedSigmoid(v).sum())(tf.scalar(0.4));
    expect(numbers(gradient)[0]).toBeCloseTo(slope(h, 0.4), 4);
    const place = site({ shape: [1] });
    const through = tf.grad((rounding) =>
      softRounding
        .fakeQuantize(
          tf.tensor1d([0.6]),
          { scale: tf.scalar(0.5), zeroPoint: tf.scalar(0), rounding },
          place,
        )
        .sum(),
    )(tf.tensor1d([0.4]));
    expect(numbers(through)[0]).toBeCloseTo(0.5 * slope(h, 0.4), 4);
  });

  test("starts at the weights themselves and ends on whole steps", () => {
    const place = site({ shape: [50] });
    const w = tf.tensor1d(normalValues(50, 1, 0.3));
    const values = softRounding.initialize([toValues(softRounding.observe(w, place))], place);
    const scale = values["scale"]?.data[0] ?? NaN;
    const soft = numbers(softRounding.fakeQuantize(w, toTensors(values), place));
    const end = toTensors(softRounding.finish?.(values, place) ?? values);
    numbers(softRounding.fakeQuantize(w, end, place)).forEach((value, i) => {
      const exact = numbers(w)[i] ?? NaN;
      expect(Number.isInteger(Math.round((value / scale) * 1e4) / 1e4)).toBe(true);
      if (Math.abs(exact) < 7 * scale) {
        expect(soft[i]).toBeCloseTo(exact, 4);
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(scale * 0.501); // to nearest at first
      }
    });
  });
});

describe("PalQuant's quantizers", () => {
  test("2-bit weights are -1, -1/3, 1/3 and 1 times the output scale", () => {
    const values = {
      lower: tf.scalar(-1),
      upper: tf.scalar(1),
      outputScale: tf.scalar(3),
    };
    const place = site({ shape: [5], scheme: { ...int4, bitWidth: 2 } });
    const y = palquant.weight.fakeQuantize(tf.tensor1d([-9, -0.5, 0.1, 0.4, 2]), values, place);
    const expected = [-3, -1, 1, 1, 3];
    numbers(y).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] ?? NaN, 5);
    });
  });

  test("bounds learn from unclipped values alone", () => {
    const place = activation({ shape: [], nonNegative: true, scheme: unsigned });
    const gradient = (x: number) =>
      numbers(
        tf.grad((upper) =>
          palquant.activation
            .fakeQuantize(tf.tensor1d([x]), { lower: tf.scalar(0), upper }, place)
            .sum(),
        )(tf.scalar(2)),
      )[0];
    expect(gradient(5)).toBe(0);
    // d(x / u) / du * u = -x / u, divided by the root of the steps of the one value.
    expect(gradient(1)).toBeCloseTo(-0.5 / Math.sqrt(2 ** unsigned.bitWidth - 1), 4);
  });
});

describe("channel-wise widths", () => {
  const place = site({
    shape: [3, 4],
    channelAxis: 1,
    scheme: { ...int4, bitWidth: 8, granularity: "perChannel" },
    multiplications: 100,
  });
  const w = tf.tensor2d(normalValues(12, 5), [3, 4]);
  const values = (logits: number[][], temperature = 1) => ({
    logits: tf.tensor2d(logits),
    temperature: tf.scalar(temperature),
  });
  const random = [0, 1, 2].map((row) => normalValues(4, row));

  test("shares of a channel add up to 1", () => {
    const sums = numbers(tf.sum(widthShares(values(random)), 0));
    for (const sum of sums) expect(sum).toBeCloseTo(1, 6);
  });

  test("as the temperature falls, the mixture becomes the widest share", () => {
    const finished = mixedWidths.finish?.(toValues(values(random)), place) ?? {};
    const cold = numbers(mixedWidths.fakeQuantize(w, values(random, 1e-4), place));
    const hard = numbers(mixedWidths.fakeQuantize(w, toTensors(finished), place));
    cold.forEach((value, i) => {
      expect(value).toBeCloseTo(hard[i] ?? NaN, 5);
    });
    const widths = mixedWidths.bitWidths?.(finished, place) ?? [];
    const expected = [0, 1, 2, 3].map((channel) => {
      const column = random.map((row) => row[channel] ?? 0);
      return [2, 4, 8][column.indexOf(Math.max(...column))];
    });
    expect(widths).toEqual(expected);
  });

  test("logits' gradient is that of a softmax mixture", () => {
    const upstream = normalValues(12, 8);
    const gradient = numbers(
      tf.grad((logits) =>
        mixedWidths
          .fakeQuantize(w, { logits, temperature: tf.scalar(2) }, place)
          .mul(tf.tensor2d(upstream, [3, 4]))
          .sum(),
      )(tf.tensor2d(random)),
    );
    // (1 / t) share (<G, Q_p> - sum of shares times <G, Q_q>), ten times as fast as weights.
    const shares = numbers(widthShares(values(random, 2)));
    const products = [2, 4, 8].map((_, row) => {
      const onlyThis = [0, 1, 2].map((r) => Array<number>(4).fill(r === row ? 200 : 0));
      const q = numbers(mixedWidths.fakeQuantize(w, values(onlyThis), place));
      return [0, 1, 2, 3].map((channel) =>
        [0, 1, 2].reduce(
          (sum, i) => sum + (q[i * 4 + channel] ?? 0) * (upstream[i * 4 + channel] ?? 0),
          0,
        ),
      );
    });
    for (let channel = 0; channel < 4; channel++) {
      const share = (row: number) => shares[row * 4 + channel] ?? NaN;
      const mean = [0, 1, 2].reduce(
        (sum, row) => sum + share(row) * (products[row]?.[channel] ?? 0),
        0,
      );
      for (let row = 0; row < 3; row++) {
        const expected = (10 / 2) * share(row) * ((products[row]?.[channel] ?? 0) - mean);
        expect(gradient[row * 4 + channel]).toBeCloseTo(expected, 3);
      }
    }
  });

  test("one-hot logits cost exactly what the chosen widths cost", () => {
    const finished = toTensors(mixedWidths.finish?.(toValues(values(random)), place) ?? {});
    const widths = mixedWidths.bitWidths?.(toValues(finished), place) ?? [];
    const mean = widths.reduce((a, b) => a + b, 0) / 4;
    const quantizers = new Map([[place, finished]]);
    expect(numbers(relativeCost(quantizers, "size"))[0]).toBeCloseTo(mean / 8, 6);
    const perMac = { 2: 1 / 2.5, 4: 1 / 2.3, 8: 1 / 2.1 } as Record<number, number>;
    const energy = widths.reduce((sum, width) => sum + (perMac[width] ?? NaN), 0) / 4 / (1 / 2.1);
    expect(numbers(relativeCost(quantizers, "energy"))[0]).toBeCloseTo(energy, 5);
  });
});
