import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { fakeQuantize, rangeOf, valueOf } from "../../../algorithms/affine.js";
import { TRAIN_ALL, type Algorithm, type Quantizer } from "../../../algorithms/algorithm.js";
import { algorithms } from "../../../algorithms/index.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMaxObserver, gridsFrom } from "../../../algorithms/observers/index.js";
import { palquant } from "../../../algorithms/palquant.js";
import { fingerprint } from "../../../pipelines/conformance/index.js";
import { describeStep, loadEngine } from "../../../pipelines/engine/index.js";

const vector = {
  x: { shape: [3], dtype: "float32" },
  y: { shape: [3], dtype: "float32" },
} as const;
const describeSum = (compute: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor) =>
  describeStep(({ x, y }) => ({ sum: compute(x as tf.Tensor, y as tf.Tensor) }), vector);

describe("what a step computes", () => {
  test("is the same however it is written", async () => {
    const written = await describeSum((x, y) => tf.add(tf.mul(x, 2), tf.sqrt(y)));
    const otherwise = await describeSum((a, b) => {
      tf.exp(a); // nobody needs it
      const root = tf.sqrt(b);
      const two = tf.scalar(2);
      return tf.add(tf.mul(tf.clone(a), two), root);
    });
    expect(otherwise).toEqual(written);
  });

  test.each<[string, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor]>([
    ["a constant", (x, y) => tf.add(tf.mul(x, 2.0000002), tf.sqrt(y))],
    ["an operation", (x, y) => tf.sub(tf.mul(x, 2), tf.sqrt(y))],
    ["an input", (x, y) => tf.add(tf.mul(y, 2), tf.sqrt(x))],
    ["an attribute", (x, y) => tf.add(tf.mul(x, 2), tf.cumsum(tf.sqrt(y)))],
  ])("is another with another %s", async (_, compute) => {
    expect(await describeSum(compute)).not.toEqual(
      await describeSum((x, y) => tf.add(tf.mul(x, 2), tf.sqrt(y))),
    );
  });

  test("depends on attributes and on infinite constants", async () => {
    const along = (axis: number) =>
      describeStep(({ x }) => ({ sum: tf.sum(x as tf.Tensor, axis) }), {
        x: { shape: [2, 2], dtype: "float32" },
      });
    expect(await along(0)).not.toEqual(await along(1));
    const clipped = (most: number) => describeSum((x) => tf.clipByValue(x, 0, most));
    expect(await clipped(Infinity)).not.toEqual(await clipped(3));
  });
});

/** A small algorithm with its constants open to change. */
function small({ reach = 1, floor = 0, share = 1, smoothing = 0.5 } = {}): Algorithm {
  const quantizer: Quantizer = {
    learned: ["scale"],
    observe: minMaxObserver.observe,
    initialize: (batches, site) => {
      const grids = gridsFrom(minMaxObserver, batches, site);
      const { scale = { shape: [], data: Float32Array.of(1) } } = grids;
      return { ...grids, scale: { ...scale, data: scale.data.map((value) => value * reach) } };
    },
    fakeQuantize: (x, values, site) =>
      fakeQuantize(
        tf.maximum(x, tf.scalar(floor)),
        valueOf(values, "scale"),
        undefined,
        rangeOf(site),
      ),
    quantParams: (values) => {
      const scale = valueOf(values, "scale");
      return { scale, zeroPoint: tf.zerosLike(scale) };
    },
  };
  return {
    ...{ name: "small", title: "Small", version: 1, source: lsq.source, deviations: [] },
    ...{ weight: quantizer, activation: quantizer },
    phases: [
      { ...TRAIN_ALL[0], name: "a", share, trains: ["weights", "quantizers"] },
      {
        ...{ name: "b", share: 1 - share, trains: ["weights"] },
        loss: ({ crossEntropy, logits, teacherOutput }) =>
          tf.add(
            crossEntropy,
            tf.mul(smoothing, tf.mean(tf.squaredDifference(logits, teacherOutput("classifier")))),
          ),
      },
    ],
    unsupported: ({ scheme }) => (scheme.symmetric ? undefined : "affine"),
  };
}

describe("an algorithm's fingerprint", () => {
  test("outlives another name, title, version and words about it", async () => {
    const renamed = {
      ...small(),
      ...{ name: "other", title: "Other", version: 2, deviations: ["something"] },
      unsupported: ({ scheme }) => (scheme.symmetric ? undefined : "said otherwise"),
    } satisfies Algorithm;
    expect(await fingerprint(renamed)).toBe(await fingerprint(small()));
  });

  test.each([
    ["a constant of its first values", { reach: 1.01 }],
    ["a constant of fake quantization", { floor: -0.001 }],
    ["the parts of its phases", { share: 0.9 }],
    ["a constant of its loss", { smoothing: 0.51 }],
  ])("changes with %s", async (_, changes) => {
    expect(await fingerprint(small(changes))).not.toBe(await fingerprint(small()));
  });

  test("changes with how a network is rewritten, and with first values there", async () => {
    const halved: Algorithm = {
      ...palquant,
      inherit: (parameter) =>
        ((palquant as Algorithm).inherit?.(parameter) ?? new Float32Array()).map((v) => v / 2),
    };
    const plain: Algorithm = { ...palquant, rewrite: (network) => network };
    const prints = await Promise.all([palquant, halved, plain].map(fingerprint));
    expect(new Set(prints).size).toBe(3);
  });

  test("is there for every algorithm, and no two that compute differently share one", async () => {
    const prints = await Promise.all(algorithms.map(fingerprint));
    // What a search does is no part of it: those that differ in nothing else have names and versions.
    const searches = algorithms.map(({ search }) => search?.run);
    const kinds = prints.map((print, i) => `${print} ${String(searches.indexOf(searches[i]))}`);
    expect(new Set(kinds).size).toBe(algorithms.length);
    for (const print of prints) expect(print).toMatch(/^[0-9a-f]{16}$/);
  });

  test("leaves tfjs on the backend where it was", async () => {
    await loadEngine("tfjs");
    await fingerprint({ ...lsq });
    expect(tf.getBackend()).toBe("cpu");
  });
});
