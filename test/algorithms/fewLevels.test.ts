import { beforeAll, describe, expect, test } from "vitest";
import * as tf from "#tf";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import { bnn } from "../../algorithms/bnn.js";
import { dorefa } from "../../algorithms/dorefa.js";
import { signActivation } from "../../algorithms/fewLevels.js";
import { withoutRelus } from "../../algorithms/signedNetwork.js";
import { ttq } from "../../algorithms/ttq.js";
import { twn } from "../../algorithms/twn.js";
import { xnorNet } from "../../algorithms/xnorNet.js";
import { SYMMETRIC_PER_CHANNEL, SYMMETRIC_PER_TENSOR } from "../../backends/scheme.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { normalValues, numbers, site, toTensors, toValues } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const bits = (bitWidth: number, scheme = SYMMETRIC_PER_TENSOR as object) =>
  ({ ...SYMMETRIC_PER_TENSOR, ...scheme, bitWidth }) as QuantizerSite["scheme"];

/** Weights of one row as a quantizer gives them, its scale, and their gradient where each output's is 1. */
function quantized({ weight }: Algorithm, w: tf.Tensor, place: QuantizerSite) {
  const values = toTensors(weight.initialize([toValues(weight.observe(w, place))], place));
  const sum = (x: tf.Tensor) => tf.sum(weight.fakeQuantize(x, values, place));
  return {
    values,
    y: numbers(weight.fakeQuantize(w, values, place)),
    dw: numbers(tf.grad(sum)(w)),
  };
}

describe("TWN", () => {
  const golden = [0.9, -0.1, 0.35, -0.6, 0.05, 0.2, -0.45, 0.75];
  const place = site({ shape: [8], scheme: bits(2) });

  test("has the threshold 0.7 mean |w| and the mean of what is beyond it", () => {
    // Threshold 0.2975, pattern 1 0 1 -1 0 0 -1 1, scale 0.61.
    const { y, dw } = quantized(twn, tf.tensor1d(golden), place);
    [0.61, 0, 0.61, -0.61, 0, 0, -0.61, 0.61].forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 6);
    });
    expect(dw).toEqual(Array(8).fill(1));
    const { scale } = twn.weight.quantParams({}, place, tf.tensor1d(golden));
    expect(numbers(scale)[0]).toBeCloseTo(0.61, 6);
  });

  test("is within 5 % of the least squared error that any threshold reaches", () => {
    const w = normalValues(2000, 9, 0.1);
    const error = (codes: readonly number[], scale: number) =>
      w.reduce((sum, v, i) => sum + (v - scale * (codes[i] ?? 0)) ** 2, 0);
    const sorted = w.map(Math.abs).toSorted((a, b) => a - b);
    const errors = sorted.slice(0, -1).map((threshold) => {
      const codes = w.map((v) => (Math.abs(v) > threshold ? Math.sign(v) : 0));
      const kept = codes.filter((code) => code !== 0).length;
      return error(codes, w.reduce((sum, v, i) => sum + v * (codes[i] ?? 0), 0) / kept);
    });
    const { y } = quantized(twn, tf.tensor1d(w), site({ shape: [2000], scheme: bits(2) }));
    const scale = Math.max(...y);
    const ours = error(
      y.map((v) => Math.sign(v)),
      scale,
    );
    expect(ours).toBeLessThan(1.05 * Math.min(...errors));
  });
});

describe("TTQ", () => {
  const place = site({ shape: [5], scheme: bits(2, { levels: "any" }) });
  const w = tf.tensor1d([1, -0.5, 0.04, -0.03, 0.25]);

  test("starts at the mean of each side beyond 0.05 of the largest", () => {
    const { y, values } = quantized(ttq, w, place);
    expect(y).toEqual([0.625, -0.5, 0, 0, 0.625]);
    const book = ttq.weight.codebook?.(values, place, w);
    expect(numbers(book?.levels as tf.Tensor)).toEqual([-0.5, 0, 0.625]);
    numbers(book?.thresholds as tf.Tensor).forEach((threshold, i) => {
      expect(threshold).toBeCloseTo([-0.05, 0.05][i] ?? NaN, 6);
    });
  });

  test("gives each magnitude its side's gradients, and weights theirs times it", () => {
    const { values } = quantized(ttq, w, place);
    const dy = tf.tensor1d([1, 2, 4, 8, 16]);
    const loss = (x: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) =>
      tf.sum(tf.mul(ttq.weight.fakeQuantize(x, { positive, negative }, place), dy));
    const [dw, dp, dn] = tf.grads(loss)([
      w,
      values["positive"] as tf.Tensor,
      values["negative"] as tf.Tensor,
    ]);
    expect(numbers(dw as tf.Tensor)).toEqual([0.625, 1, 4, 8, 10]);
    expect(numbers(dp as tf.Tensor)).toEqual([17]);
    expect(numbers(dn as tf.Tensor)).toEqual([-2]);
  });
});

test("XNOR-Net has the mean magnitude of each filter, and gradients up to 1", () => {
  const place = site({
    shape: [1, 1, 3, 2],
    channelAxis: 3,
    scheme: bits(1, SYMMETRIC_PER_CHANNEL),
  });
  const w = tf.tensor([0.5, -2, -0.25, 0.5, 0.75, 0.5], [1, 1, 3, 2]);
  const { y, dw } = quantized(xnorNet, w, place);
  expect(y).toEqual([0.5, -1, -0.5, 1, 0.5, 1]);
  expect(dw).toEqual([1, 0, 1, 1, 1, 1]);
});

test("BNN's weights are their signs", () => {
  const { y } = quantized(bnn, tf.tensor1d([0.3, -0.01, 0, -4]), site({ scheme: bits(1) }));
  expect(y).toEqual([1, -1, 1, -1]);
});

test("DoReFa's binary weights have the mean magnitude of the layer and all gradients", () => {
  const place = site({ shape: [4, 1], channelAxis: 1, scheme: bits(1, SYMMETRIC_PER_CHANNEL) });
  const { y, dw } = quantized(dorefa, tf.tensor2d([0.5, -3, 0.25, -0.25], [4, 1]), place);
  expect(y).toEqual([1, -1, 1, -1]);
  expect(dw).toEqual([1, 1, 1, 1]);
});

test("activations are their signs, 0 among the positive ones, with gradients up to 1", () => {
  const place = site({ role: "activation", scheme: bits(1, { levels: "any" }) });
  const x = tf.tensor1d([-1.5, -0.5, 0, 2]);
  expect(numbers(signActivation.fakeQuantize(x, {}, place))).toEqual([-1, -1, 1, 1]);
  const sum = (input: tf.Tensor) => tf.sum(signActivation.fakeQuantize(input, {}, place));
  expect(numbers(tf.grad(sum)(x))).toEqual([0, 1, 1, 0]);
});

test("ReLUs in front of convolutions go where activations are signs, and stay elsewhere", () => {
  const network = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
  expect(withoutRelus(network, { weights: 1, activations: 8 })).toBe(network);
  const { nodes } = withoutRelus(network, { weights: 1, activations: 1 });
  const relus = nodes.filter(({ op }) => op === "relu").map(({ name }) => name);
  // What the pool reads is left.
  const pool = nodes.find(({ op }) => op === "globalAveragePool");
  expect(relus).toEqual([pool && "input" in pool ? pool.input : ""]);
  for (const node of nodes) {
    if (node.op !== "conv2d" || node.input === "image") continue;
    expect(["batchNorm", "add"]).toContain(nodes.find(({ name }) => name === node.input)?.op);
  }
});
