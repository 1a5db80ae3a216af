import { describe, expect, test } from "vitest";
import { TRAIN_ALL } from "../../../algorithms/algorithm.js";
import type { Laboratory } from "../../../algorithms/laboratory.js";
import { learnedBound, pact } from "../../../algorithms/pact.js";
import { drawLegal } from "../../../algorithms/search/evolution.js";
import { policyOf } from "../../../algorithms/search/genes.js";
import { measuredStatistics } from "../../../algorithms/search/recalibration.js";
import {
  judgeOf,
  samplePath,
  startSupernet,
  trainSupernet,
} from "../../../algorithms/search/supernet.js";
import { spos } from "../../../algorithms/spos.js";
import { sposBins } from "../../../algorithms/sposBins.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { toHost } from "../../../pipelines/network/index.js";
import { RunningPhase } from "../../../pipelines/train/index.js";
import { dataset, hyperparameters, searchToy } from "../../searching.js";
import { network, random, spaceOf, synthetic } from "../pathSpace.js";

/** Looks at a toy laboratory, as a search that finds nothing. */
async function look(
  run: (laboratory: Laboratory) => Promise<void>,
  changes: Parameters<typeof searchToy>[1] = {},
) {
  await searchToy(
    {
      ...spos,
      search: {
        ...spos.search,
        run: async (laboratory) => {
          await run(laboratory);
          return { policy: {} };
        },
      },
    },
    changes,
  );
}

test("P1: with one choice for each layer the supernet trains as the matrix trains PACT", async () => {
  const engine = await loadEngine("onnxruntime");
  await look(async (laboratory) => {
    const space = spaceOf(laboratory, []);
    const steps = 5;
    const { losses } = await trainSupernet(laboratory, space, {
      ...{ steps, sampling: "uniform" },
      longestGradient: Infinity,
    });
    const { sites, parameters, epoch, descent } = laboratory;
    const clips = sites.flatMap((site) =>
      site.role === "weight" ? [] : Object.entries(toHost(site, learnedBound.initialize([], site))),
    );
    const plain = new RunningPhase(
      engine,
      {
        ...{ network: laboratory.network, dataset, seed: 0, name: "" },
        tensors: {
          ...Object.fromEntries(
            Object.entries(parameters).map(([name, value]) => [
              name,
              { dtype: "float32" as const, ...value },
            ]),
          ),
          ...Object.fromEntries(clips),
        },
        quantizers: { algorithm: pact, sites, teacher: { network, parameters: {} } },
        hyperparameters: { ...hyperparameters, labelSmoothing: 0.1, quantizerWeightDecay: 0 },
        schedule: hyperparameters.quantizedTraining,
      },
      TRAIN_ALL[0],
    );
    const expected: number[] = [];
    for (const batch of epoch("supernet 0")) {
      const rate = 5 * descent.rate * (1 - expected.length / steps);
      if (expected.length < steps) expected.push((await plain.step(batch, rate)).loss);
    }
    await plain.release();
    expect(losses).toHaveLength(steps);
    expect(new Set(losses).size).toBe(steps);
    losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(expected[i] ?? NaN, 4);
    });
  });
});

test("however steep the loss is, a step is no longer than a gradient of norm 1 makes it", async () => {
  /** Of the first step, from a network whose scores are so many times the toy's. */
  const gradientNorm = async (steepness: number, limit: { readonly longestGradient?: number }) => {
    let norm = NaN;
    await look(async (toy) => {
      const parameters = Object.fromEntries(
        Object.entries(toy.parameters).map(([name, { shape, data }]) => [
          name,
          { shape, data: data.map((x) => (name === "classifier/kernel" ? steepness * x : x)) },
        ]),
      );
      const laboratory = { ...toy, parameters };
      const [space, rule] = [spaceOf(laboratory), laboratory.descent];
      const { tensors } = startSupernet(laboratory, space).descent;
      const options = { steps: 1, sampling: "uniform", ...limit } as const;
      const { descent } = await trainSupernet(laboratory, space, options);
      // Nesterov's first step has (1 + momentum) times the slope; weight decay comes on top of the gradient.
      const factor = 5 * rule.rate * (1 + rule.momentum);
      const slopes = Object.entries(tensors).flatMap(([name, { data }]) =>
        Array.from(data, (old, i) => {
          const decay = name.endsWith("/kernel") ? rule.decay * old : 0;
          return (old - (descent.tensors[name]?.data[i] ?? NaN)) / factor - decay;
        }),
      );
      norm = Math.hypot(...slopes);
    });
    return norm;
  };
  const gentle = await gradientNorm(1, { longestGradient: Infinity });
  expect(gentle).toBeLessThan(0.9);
  expect(await gradientNorm(1, {})).toBeCloseTo(gentle, 6);
  expect(await gradientNorm(10, { longestGradient: Infinity })).toBeGreaterThan(2);
  expect(await gradientNorm(10, {})).toBeCloseTo(1, 3);
});

describe("P2: paths", () => {
  test("have every choice equally often", () => {
    const { genes, ...space } = spaceOf(synthetic());
    const counts = genes.map(({ length }) => new Array<number>(length).fill(0));
    const numbers = random("uniform");
    const draws = 8000;
    for (let i = 0; i < draws; i++)
      samplePath({ genes, ...space }, "uniform", numbers).forEach((choice, gene) => {
        const of = counts[gene] ?? [];
        of[choice] = (of[choice] ?? 0) + 1;
      });
    for (const of of counts) {
      const expected = draws / of.length;
      const chiSquare = of.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      expect(chiSquare).toBeLessThan(21.1); // three degrees of freedom; once in 10,000 more
    }
  });

  test("have equally often each of seven costs around the budget, where bins are drawn", () => {
    const space = spaceOf(
      synthetic(),
      spos.search.candidates.flatMap((weights) =>
        spos.search.candidates.map((activations) => ({ weights, activations })),
      ),
    );
    const numbers = random("bins");
    const bins = new Array<number>(7).fill(0);
    for (let i = 0; i < 1400; i++) {
      const place = (space.cost(samplePath(space, "costBins", numbers)) / space.budget) * 330;
      const bin = Math.floor((place - 290) / 10);
      if (bin in bins) bins[bin] = (bins[bin] ?? 0) + 1;
    }
    for (const count of bins) expect(Math.abs(count - 200)).toBeLessThan(60);
    expect(sposBins.search.run).not.toBe(spos.search.run);
  });

  test("change nothing beside them, momentum included", async () => {
    await look(async (laboratory) => {
      const space = spaceOf(laboratory);
      const before = startSupernet(laboratory, space).descent;
      const { descent } = await trainSupernet(laboratory, space, { steps: 1, sampling: "uniform" });
      const path = samplePath(space, "uniform", laboratory.random("paths 0"));
      const policy = policyOf(space.genes, path);
      const clips = Object.keys(before.tensors).filter((name) => name.includes(" at "));
      expect(clips.length).toBeGreaterThan(20);
      for (const name of clips) {
        const [site = "", bits] = name.split(/:.* at | bits/);
        const isOn = (policy[site] ?? 8) === Number(bits);
        expect([name, name in descent.velocities]).toEqual([name, isOn]);
        if (!isOn) expect(descent.tensors[name]).toEqual(before.tensors[name]);
      }
      const kernel = "s1.0.a/kernel";
      expect(descent.tensors[kernel]).not.toEqual(before.tensors[kernel]);
    });
  });
});

test("P5: what is tried without measuring batch norm again is much worse", async () => {
  await look(
    async (laboratory) => {
      const space = spaceOf(laboratory);
      const supernet = await trainSupernet(laboratory, space, { steps: 60, sampling: "uniform" });
      const numbers = random("policies");
      const policies = Array.from({ length: 8 }, () =>
        policyOf(space.genes, drawLegal(space, numbers)),
      );
      const mean = async (measures: boolean) => {
        const { judge } = judgeOf(laboratory, supernet, { measures });
        let sum = 0;
        for (const policy of policies) sum += (await judge(policy)).accuracy;
        return sum / policies.length;
      };
      expect(await mean(true)).toBeGreaterThan((await mean(false)) + 0.1);
    },
    {
      hyperparameters: {
        ...hyperparameters,
        search: { ...hyperparameters.search, visits: 1e4 },
        quantizedTraining: { epochs: 1, learningRate: 0.15 }, // leads away from the float weights
      },
    },
  );
});

test("batch norm is measured as the mean of what batches have", async () => {
  const value = (x: number) => ({ shape: [1], data: Float32Array.of(x) });
  const batches = [3, 5, 10].map((mean) => ({
    images: { shape: [1], dtype: "float32" as const, data: Float32Array.of(mean) },
    labels: { shape: [1], dtype: "int32" as const, data: Int32Array.of(0) },
  }));
  // Running averages take in a tenth of the batch.
  const found = await measuredStatistics(
    (_, { images }) =>
      Promise.resolve({
        ...{ loss: 0, correct: 0, gradients: {} },
        statistics: { "n/mean": value(0.9 * 100 + 0.1 * (images.data[0] ?? NaN)) },
      }),
    { "n/mean": value(100) },
    batches,
  );
  expect(found["n/mean"]?.data[0]).toBeCloseTo(6, 3);
});
