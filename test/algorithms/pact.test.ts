import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import { pact } from "../../algorithms/pact.js";
import { int4, numbers, site } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const unsigned = site({
  role: "activation",
  scheme: { ...int4, signed: false },
  nonNegative: true,
});

test("quantizes [0, alpha] in equal steps of alpha / (2^b - 1)", () => {
  const y = pact.activation.fakeQuantize(
    tf.tensor1d([0, 1.5, 2.9, 3, 8]),
    { alpha: tf.scalar(3) },
    unsigned,
  );
  // 1.5 is 7.5 steps, which rounds to the even 8; 2.9 is 14.5 steps less float noise: 14 or 15.
  const [zero, half, , top, beyond] = numbers(y);
  expect(zero).toBe(0);
  expect(half).toBeCloseTo(8 * 0.2, 6);
  expect([top, beyond].map((v) => Number(v?.toFixed(5)))).toEqual([3, 3]);
});

test("x passes inside the bound; what lies above goes to alpha (section 3)", () => {
  const [dx, dAlpha] = tf.grads((x, alpha) =>
    pact.activation.fakeQuantize(x, { alpha: alpha }, unsigned).sum(),
  )([tf.tensor1d([0.5, 2, 3.5, 9]), tf.scalar(3)]) as [tf.Tensor, tf.Tensor];
  expect(numbers(dx)).toEqual([1, 1, 0, 0]);
  expect(numbers(dAlpha)).toEqual([2]);
});

test("alpha gets a gradient on signed symmetric backends for every value of alpha", () => {
  const signed = site({ role: "activation" });
  for (let value = 0.5; value < 10; value += 0.37) {
    const gradient = tf.grad((alpha) =>
      pact.activation.fakeQuantize(tf.tensor1d([-20, 0, 20, 20]), { alpha }, signed).sum(),
    )(tf.scalar(value));
    expect(numbers(gradient)).toEqual([1]); // two above, one below with the sign turned
  }
});
