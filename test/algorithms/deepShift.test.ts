import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { deepShift } from "../../algorithms/deepShift.js";
import { nearestPower } from "../../algorithms/decomposition/powerOfTwo.js";
import { lowestExponent, shiftWeights, signedPower } from "../../algorithms/shiftWeights.js";
import type { Network } from "../../algorithms/network.js";
import { float32, loadEngine } from "../../pipelines/engine/index.js";
import { forward } from "../../pipelines/network/index.js";
import { int4, normalValues, numbers, site } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

/** Straight from the definition, in float64. */
function power(w: number, bits: number): number {
  const lowest = -(2 ** (bits - 1) - 1);
  const magnitude = Math.min(1, Math.max(2 ** lowest, Math.abs(w)));
  const exponent = Math.min(0, Math.max(lowest, Math.round(Math.log2(magnitude))));
  return (w < 0 ? -1 : 1) * 2 ** exponent;
}

const weights = [
  ...normalValues(500, 11, 0.2),
  ...normalValues(200, 12, 1e-6),
  ...[0, -0, 1e-30, -1e-30, 1, -1, 1.5, -40, 0.5, 2 ** -31, 2 ** -33],
].map(Math.fround);

describe.each([2, 4, 6])("P1: shift weights of %i bits", (bits) => {
  const place = site({ scheme: { ...int4, bitWidth: bits }, shape: [weights.length] });
  const y = () => numbers(shiftWeights.fakeQuantize(tf.tensor1d(weights), {}, place));

  test("are signed powers of two in range, the rounded logarithms", () => {
    expect(y()).toEqual(weights.map((w) => power(w, bits)));
  });

  test("are never 0, and as many as the bits hold", () => {
    const book = shiftWeights.codebook?.({}, place);
    const levels = numbers(book?.levels as tf.Tensor);
    expect(levels).toHaveLength(2 ** bits);
    expect(Math.max(...levels)).toBe(1);
    expect(Math.min(...levels.map(Math.abs))).toBe(2 ** (1 - 2 ** (bits - 1)));
    expect(y().every((value) => levels.includes(value))).toBe(true);
  });

  test("get all gradients as they are", () => {
    const dw = tf.grad((w) => tf.sum(shiftWeights.fakeQuantize(w, {}, place)))(
      tf.tensor1d(weights),
    );
    expect(new Set(numbers(dw))).toEqual(new Set([1]));
  });
});

test("the border is the root of 2, not SmartExchange's 1.5", () => {
  const [below, above] = [1.41421 / 8, 1.41422 / 8];
  const found = numbers(signedPower(tf.tensor1d([below, above, -above]), -31));
  expect(found).toEqual([1 / 8, 1 / 4, -1 / 4]);
  expect([below, above].map(nearestPower)).toEqual([1 / 8, 1 / 8]);
});

test.each(["portable", "onnxruntime"] as const)(
  "powers are exact on %s, next to every border too",
  async (name) => {
    const engine = await loadEngine(name);
    const near = Array.from({ length: 32 }, (_, p) => 2 ** (0.5 - p)).flatMap((border) => {
      const at = Math.fround(border);
      return [at * (1 - 2 ** -23), at, at * (1 + 2 ** -23)].map(Math.fround);
    });
    const inputs = { w: float32(Float32Array.from(near), [near.length]) };
    const compiled = await engine.compile(
      ({ w }) => ({ y: signedPower(w as tf.Tensor, lowestExponent(6)) }),
      inputs,
    );
    const { y } = await compiled.run(inputs);
    await compiled.release();
    // What the codebook, with which it is deployed, says.
    const thresholds = Array.from({ length: 31 }, (_, i) =>
      Math.fround(2 ** (i - 31) * Math.SQRT2),
    );
    const wanted = near.map((w) => 2 ** (thresholds.filter((border) => w >= border).length - 31));
    expect([...(y?.data ?? [])]).toEqual(wanted);
  },
);

test("products are shifts below 8 bits, and multiplications from there", () => {
  const at = (bitWidth: number) =>
    deepShift.weight.operator?.(site({ scheme: { ...int4, bitWidth } }));
  expect([at(2), at(6), at(8)]).toEqual(["shift", "shift", "convolution"]);
});

test("P1: a shift convolution is a sum of shifted integers", () => {
  const network: Network = {
    nodes: [
      { op: "input", name: "image", shape: [3, 3, 4] },
      {
        ...{ op: "conv2d", name: "layer", input: "image", filters: 2, kernelSize: 3, stride: 1 },
        ...{ depthwise: false, padding: [0, 0, 0, 0] },
      },
    ],
  };
  const w = normalValues(3 * 3 * 4 * 2, 21, 0.1);
  const x = normalValues(3 * 3 * 4, 22, 60).map(Math.round);
  const place = site({ scheme: { ...int4, bitWidth: 6 }, shape: [3, 3, 4, 2] });
  const { logits } = forward(network, tf.tensor4d(x, [1, 3, 3, 4]), {
    ...{ parameters: { "layer/kernel": tf.tensor(w, [3, 3, 4, 2]) }, training: false },
    quantize: (_, kernel) => shiftWeights.fakeQuantize(kernel, {}, place),
  });
  [0, 1].forEach((filter) => {
    // In steps of the smallest power, so that nothing is rounded.
    const sum = x.reduce((total, value, i) => {
      const weight = power(w[i * 2 + filter] ?? NaN, 6);
      const shifted = BigInt(value) << BigInt(31 + Math.log2(Math.abs(weight)));
      return weight < 0 ? total - shifted : total + shifted;
    }, 0n);
    expect(numbers(logits)[filter]).toBeCloseTo(Number(sum) / 2 ** 31, 4);
  });
});
