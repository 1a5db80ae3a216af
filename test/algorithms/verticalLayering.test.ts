import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { TRAIN_ALL, type Algorithm } from "../../algorithms/algorithm.js";
import type { Laboratory } from "../../algorithms/laboratory.js";
import { lsq } from "../../algorithms/lsq.js";
import { gramOf, minNormShares } from "../../algorithms/search/minNorm.js";
import { nestedStep } from "../../algorithms/search/nestedStep.js";
import { drawWidths, trainOnce } from "../../algorithms/search/onceTraining.js";
import { normal } from "../../algorithms/search/random.js";
import { atWidth } from "../../algorithms/search/runtimeGrid.js";
import { servedAt } from "../../algorithms/search/servedWidths.js";
import { truncation } from "../../algorithms/truncation.js";
import { verticalLayering } from "../../algorithms/verticalLayering.js";
import { academic } from "../../backends/academic.js";
import { datasets } from "../../benchmarks/datasets/index.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { loadEngine, randomStream } from "../../pipelines/engine/index.js";
import {
  asDeployed,
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../pipelines/network/index.js";
import {
  accuracyOf,
  evaluate,
  limitDataset,
  RunningPhase,
  train,
} from "../../pipelines/train/index.js";
import { dataset, floatNetwork, hyperparameters, searchToy } from "../searching.js";
import { int4, site } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const random = (name: string) => randomStream(0, name);
const BITS = [2, 3, 4, 5, 6, 7, 8];

describe("P4: the shortest vector among gradients", () => {
  const vector = (...values: number[]) => [Float32Array.from(values)];
  const mean = (gradients: readonly (readonly Float32Array[])[], shares: readonly number[]) =>
    Array.from(gradients[0]?.[0] ?? [], (_, j) =>
      gradients.reduce((sum, g, i) => sum + (shares[i] ?? NaN) * (g[0]?.[j] ?? NaN), 0),
    );
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).reduce((sum, x, i) => sum + x * (b[i] ?? NaN), 0);

  test("of (1, 0) and (0, 2) is (0.8, 0.4)", () => {
    const gradients = [vector(1, 0), vector(0, 2)];
    const shares = minNormShares(gramOf(gradients));
    expect(shares[0]).toBeCloseTo(0.8, 9);
    mean(gradients, shares).forEach((x, i) => {
      expect(x).toBeCloseTo([0.8, 0.4][i] ?? NaN, 9);
    });
  });

  test("of two is the closed form, also where one of them is shortest", () => {
    for (const [a, b] of [
      [vector(1, 2, -1), vector(-3, 0.5, 2)],
      [vector(1, 0.1), vector(3, 0.2)],
      [vector(2, 2), vector(2, 2)],
    ] as const) {
      const [x = [], y = []] = [a[0], b[0]];
      const difference = Array.from(y, (value, i) => value - (x[i] ?? NaN));
      const form = dot(difference, y) / dot(difference, difference);
      const share = Number.isFinite(form) ? Math.min(1, Math.max(0, form)) : 0.5;
      expect(minNormShares(gramOf([a, b]))[0]).toBeCloseTo(share, 6);
    }
  });

  test("of many lets all losses fall", () => {
    const numbersOf = random("gradients");
    for (let trial = 0; trial < 20; trial++) {
      const gradients = [1, 2, 5, 0.3].map((size) =>
        vector(...Array.from({ length: 30 }, (_, i) => size * normal(numbersOf) + (i < 5 ? 1 : 0))),
      );
      const shares = minNormShares(gramOf(gradients));
      expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
      const direction = mean(gradients, shares);
      const length = dot(direction, direction);
      for (const gradient of gradients)
        expect(dot(direction, gradient[0] ?? [])).toBeGreaterThan(length * 0.98);
    }
  });
});

test("a batch goes through the widest, the narrowest and two other widths, all equally often", () => {
  const numbersOf = random("widths");
  const counts = new Map<number, number>();
  for (let i = 0; i < 5000; i++) {
    const drawn = drawWidths(BITS, numbersOf);
    expect(drawn).toHaveLength(4);
    expect(drawn.slice(0, 2)).toEqual([8, 2]);
    for (const bits of drawn) counts.set(bits, (counts.get(bits) ?? 0) + 1);
  }
  for (const bits of [3, 4, 5, 6, 7])
    expect(Math.abs((counts.get(bits) ?? 0) - 2000)).toBeLessThan(200);
  expect(drawWidths([8], numbersOf)).toEqual([8]);
  expect(drawWidths([2, 4, 8], numbersOf)).toEqual([8, 2, 4]);
});

/** As the toy network is quantized at some bits of weights. */
const atBits = (weights: number) => ({
  quantized: placeQuantizers(foldBatchNorm(floatNetwork, academic.batchNorm), academic, {
    ...{ weights, activations: 4 },
  }),
});
const withVisits = (visits: number) => ({
  hyperparameters: { ...hyperparameters, search: { ...hyperparameters.search, visits } },
});

// Its quantizer at 8 bits is LSQ's, which its own tests say.
test("P6: with one width it trains as the matrix trains its quantizer", async () => {
  const engine = await loadEngine("onnxruntime");
  const steps = 5;
  const run = async (laboratory: Laboratory) => {
    const { sites, parameters, epoch, descent, network, calibrate } = laboratory;
    const { losses } = await trainOnce(laboratory, {
      ...{ widths: [8], activation: lsq.activation, steps },
    });
    const wide = sites.map((one) => (one.role === "weight" ? atWidth(one, 8) : one));
    const nested = await calibrate({ weight: nestedStep, activation: lsq.activation });
    const tops = Object.entries(nested).flatMap(([name, value]) =>
      name.endsWith(":top") ? [[name.replace(":top", ":scale"), value] as const] : [],
    );
    const values = { ...(await calibrate(lsq)), ...Object.fromEntries(tops) };
    const plain = new RunningPhase(
      engine,
      {
        ...{ network, dataset, seed: 0, name: "" },
        tensors: Object.fromEntries(
          Object.entries({ ...parameters, ...values }).map(([name, value]) => [
            name,
            { dtype: "float32" as const, ...value },
          ]),
        ),
        quantizers: {
          algorithm: { ...lsq, weight: nestedStep },
          ...{ sites: wide, teacher: { network, parameters: {} } },
        },
        hyperparameters: { ...hyperparameters, quantizerWeightDecay: 0 },
        schedule: hyperparameters.quantizedTraining,
      },
      TRAIN_ALL[0],
    );
    const expected: number[] = [];
    for (const batch of epoch("once 0")) {
      const rate = descent.rate * (1 + Math.cos((Math.PI * expected.length) / steps));
      if (expected.length < steps) expected.push((await plain.step(batch, rate)).loss);
    }
    await plain.release();
    expect(losses.map((widths) => widths.map(([bits]) => bits))).toEqual(
      Array.from({ length: steps }, () => [8]),
    );
    losses.forEach(([width], i) => {
      expect(width?.[1]).toBeCloseTo(expected[i] ?? NaN, 4);
    });
    expect(new Set(expected).size).toBe(steps);
    return { policy: {} };
  };
  await searchToy({ ...verticalLayering, search: { ...verticalLayering.search, run } });
});

describe("on a network", () => {
  test("each width has a line in the trace, killed or not, and visits are used up", async () => {
    const whole = await searchToy(verticalLayering);
    const trace = whole.search?.trace ?? [];
    expect(trace.map(({ policy }) => policy["s1.0.a/kernel"])).toEqual(BITS);
    // Seven widths are each measured on 40 images and tried on 24; five steps of 4 widths on 8 images.
    expect(whole.search?.visits.used).toBe(7 * 64 + 5 * 4 * 3 * 8);
    const { deaths, ...killed } = await searchToy(verticalLayering, { killed: 0.1 });
    expect(deaths).toBeGreaterThan(0);
    expect({ ...killed, deaths: 0 }).toEqual(whole);
    await expect(searchToy(verticalLayering, withVisits(500))).rejects.toThrow(
      /500 image visits are too few: 544 are needed/,
    );
  });

  test("one training serves every width, whatever the matrix's is", async () => {
    const two = await searchToy(verticalLayering, atBits(2));
    const eight = await searchToy(verticalLayering, atBits(8));
    for (const bits of BITS)
      expect(servedAt(eight.tensors, bits)).toEqual(servedAt(two.tensors, bits));
    const name = "s1.0.a/kernel:scale";
    expect(servedAt(eight.tensors, 2)[name]).toEqual(two.tensors[name]);
    expect(eight.tensors[name]).not.toEqual(two.tensors[name]);
    const bank = "s1.0.a/bn/variance";
    const named = Object.keys(two.tensors).find((one) => one.endsWith("/variance")) ?? bank;
    expect(servedAt(two.tensors, 8)[named]).not.toEqual(servedAt(two.tensors, 2)[named]);
  });

  test.each([
    ["unsigned codes", { symmetric: false, signed: false }, /two's complement/],
    ["codes that lack the lowest", { narrowRange: true }, /two's complement/],
    ["more than 8 bits", { bitWidth: 16 }, /codes have 8 bits/],
  ])("cannot have %s", (_, scheme, message) => {
    expect(verticalLayering.unsupported(site({ scheme: { ...int4, ...scheme } }))).toMatch(message);
  });

  test("cannot be where batch norm is folded into weights", () => {
    const { unsupported } = verticalLayering;
    expect(unsupported(site(), floatNetwork)).toBeUndefined();
    expect(unsupported(site(), foldBatchNorm(floatNetwork, 4))).toMatch(/batch norm/);
  });
});

// The toy images are so easy that cutting codes off does no harm there.
test("P5: at 2 bits a truncated model is lost, and one that was trained once for all is not", async () => {
  const engine = await loadEngine("onnxruntime");
  const source = datasets.find(({ name }) => name === "fashionMnist");
  if (source === undefined) throw new Error("there is no Fashion-MNIST");
  const clothes = limitDataset(await source.load(""), { trainImages: 3000, testImages: 1000 });
  const network = resnet8.build({ inputShape: clothes.shape, classes: 10, width: 4 });
  const recipe = {
    ...hyperparameters,
    ...{ batchSize: 32, augmentation: { shift: 0, flip: false } },
    pretrain: { epochs: 3, learningRate: 0.1 },
    search: { ...hyperparameters.search, visits: 40000, heldOut: 100 },
  };
  const { tensors: checkpoint } = await train(engine, {
    ...{ network, tensors: initialParameters(network, 0), dataset: clothes },
    ...{ hyperparameters: recipe, schedule: recipe.pretrain, seed: 0, name: "pretrain" },
  });
  const accuracy = async (algorithm: Algorithm, weights: number) => {
    const quantized = placeQuantizers(foldBatchNorm(network, academic.batchNorm), academic, {
      ...{ weights, activations: 8 },
    });
    const { tensors, sites } = await searchToy(algorithm, {
      ...{ floatNetwork: network, rewritten: network, checkpoint, quantized },
      ...{ dataset: clothes, hyperparameters: recipe },
    });
    const mode = (current: Parameters<typeof asDeployed>[2]) =>
      asDeployed(algorithm, { network: quantized.network, sites }, current);
    const of = { tensors, dataset: clothes, mode };
    return accuracyOf(await evaluate(engine, quantized.network, of), clothes);
  };
  const whole = await accuracy(truncation, 8);
  expect(whole).toBeGreaterThan(0.6);
  expect(await accuracy(truncation, 2)).toBeLessThan(whole - 0.2);
  expect(await accuracy(verticalLayering, 2)).toBeGreaterThan(whole - 0.1);
});
