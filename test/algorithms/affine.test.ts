import * as tf from "#tf";
import * as ort from "../../pipelines/onnxruntime.js";
import { beforeAll, describe, expect, test } from "vitest";
import { fakeQuantize, MIN_SCALE, toPowerOfTwo, usableScale } from "../../algorithms/affine.js";
import { quantRange } from "../../backends/scheme.js";
import { OnnxGraph } from "../../pipelines/onnx/index.js";
import { int4, normalValues, numbers } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const range = quantRange(int4);

describe("quantRange", () => {
  test.each([
    [{ bitWidth: 8, signed: true, narrowRange: false }, [-128, 127]],
    [{ bitWidth: 8, signed: true, narrowRange: true }, [-127, 127]],
    [{ bitWidth: 4, signed: false, narrowRange: false }, [0, 15]],
    [{ bitWidth: 2, signed: true, narrowRange: false }, [-2, 1]],
  ])("of %j is %j", (scheme, [quantMin, quantMax]) => {
    expect(quantRange(scheme)).toEqual({ quantMin, quantMax });
  });

  test("one signed bit is -1 or 1, one unsigned bit 0 or 1", () => {
    expect(quantRange({ ...int4, bitWidth: 1 })).toEqual({ quantMin: -1, quantMax: 1 });
    const unsigned = { ...int4, bitWidth: 1, signed: false };
    expect(quantRange(unsigned)).toEqual({ quantMin: 0, quantMax: 1 });
  });

  test.each([0, 17, 3.5])("rejects %d bits", (bitWidth) => {
    expect(() => quantRange({ ...int4, bitWidth })).toThrow(/from 1 to 16/);
  });
});

describe("fakeQuantize", () => {
  // Golden vector of LSQ's gradients, measured on PyTorch's learnable fake quantization.
  const x = tf.tensor1d([-9, -2.2, 0.3, 9]);

  test("has the gradients of LSQ's equation 3", () => {
    const [dx, dScale] = tf.grads((value, scale) =>
      fakeQuantize(value, scale, undefined, range).sum(),
    )([x, tf.scalar(1)]) as [tf.Tensor, tf.Tensor];
    expect(numbers(dx)).toEqual([0, 1, 1, 0]);
    expect(numbers(dScale)[0]).toBeCloseTo(-8 + 0.2 - 0.3 + 7, 6);
  });

  test("moves the zero point by what lies outside", () => {
    const dZero = tf.grads((value, scale, zero) => fakeQuantize(value, scale, zero, range).sum())([
      x,
      tf.scalar(1),
      tf.scalar(0),
    ])[2];
    expect(numbers(dZero as tf.Tensor)).toEqual([-2]);
  });

  test("sums the gradient of a scale over the values that share it", () => {
    const values = tf.tensor2d([
      [0.4, 9],
      [0.4, 0.4],
    ]);
    const scale = tf.tensor2d([[1, 1]]);
    const [, dScale] = tf.grads((value, step) => fakeQuantize(value, step, undefined, range).sum())(
      [values, scale],
    ) as [tf.Tensor, tf.Tensor];
    const [first, second] = numbers(dScale);
    expect(first).toBeCloseTo(-0.8, 6);
    expect(second).toBeCloseTo(7 - 0.4, 6);
  });

  test.each([
    [undefined, "int8"],
    [3, "uint8"],
    [128, "uint8"],
  ] as const)("equals ONNX QuantizeLinear bit for bit, zero point %s", async (zeroPoint, type) => {
    const eightBits = quantRange({ ...int4, bitWidth: 8, signed: type === "int8" });
    const scale = Math.fround(0.05);
    // Ties are where implementations differ: every half step, and ordinary values.
    const ties = Array.from({ length: 600 }, (_, i) => Math.fround((i - 300) * 0.5 * scale));
    const input = Float32Array.from([...ties, ...normalValues(500, 1, 4)]);

    const graph = new OnnxGraph();
    const parameters = [graph.scalar(scale), graph.constant(type, [], [zeroPoint ?? 0])];
    const codes = graph.add("QuantizeLinear", [
      graph.input("x", "float32", [input.length]),
      ...parameters,
    ]);
    graph.output("y", graph.add("DequantizeLinear", [codes, ...parameters]), "float32", [
      input.length,
    ]);
    const session = await ort.InferenceSession.create(graph.toBytes("parity"));
    const { y } = await session.run({ x: new ort.Tensor("float32", input, [input.length]) });

    const simulated = fakeQuantize(
      tf.tensor1d(input),
      tf.scalar(scale),
      zeroPoint === undefined ? undefined : tf.scalar(zeroPoint),
      eightBits,
    );
    expect(numbers(simulated).map((v) => v + 0)).toEqual(
      [...(y?.data as Float32Array)].map((v) => v + 0),
    );
  });
});

test("power-of-two scales round the exponent, with the gradient s' / s", () => {
  const scales = tf.tensor1d([0.7, 0.71, 1, 3, 0.1]);
  expect(numbers(toPowerOfTwo(scales))).toEqual([0.5, 1, 1, 4, 0.125]);
  const gradient = numbers(tf.grad((s) => toPowerOfTwo(s).sum())(tf.tensor1d([3])));
  expect(gradient[0]).toBeCloseTo(4 / 3, 5);
});

test("a scale that fell to the floor still gets its gradient", () => {
  const gradient = tf.grad((s) => usableScale(s, int4).sum())(tf.tensor1d([-1, 0.5]));
  expect(numbers(usableScale(tf.tensor1d([-1, 0.5]), int4))).toEqual([MIN_SCALE, 0.5]);
  expect(numbers(gradient)).toEqual([1, 1]);
});
