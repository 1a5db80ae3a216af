import { describe, expect, test } from "vitest";
import { TRAIN_ALL } from "../../algorithms/algorithm.js";
import type { Laboratory, RandomNumbers } from "../../algorithms/laboratory.js";
import { learnedBound, pact } from "../../algorithms/pact.js";
import { crossed, drawLegal, evolve, mutated, ranked } from "../../algorithms/search/evolution.js";
import { costOfPath, genesOf, policyOf } from "../../algorithms/search/genes.js";
import { measuredStatistics } from "../../algorithms/search/recalibration.js";
import {
  judgeOf,
  samplePath,
  startSupernet,
  trainSupernet,
} from "../../algorithms/search/supernet.js";
import { spos } from "../../algorithms/spos.js";
import { sposBins } from "../../algorithms/sposBins.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { loadEngine, randomStream } from "../../pipelines/engine/index.js";
import { toHost } from "../../pipelines/network/index.js";
import { RunningPhase } from "../../pipelines/train/index.js";
import { dataset, hyperparameters, searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
const random = (name: string) => randomStream(0, name);
const PAIRS = [
  { weights: 2, activations: 2 },
  { weights: 2, activations: 4 },
  { weights: 8, activations: 8 },
];

const spaceOf = (laboratory: Laboratory, pairs = PAIRS) => {
  const genes = genesOf(laboratory, pairs);
  return { genes, budget: laboratory.budget, cost: costOfPath(genes, laboratory.cost) };
};

const synthetic = () =>
  syntheticLaboratory(network, spos.search, { accuracy: () => 0, visits: 1 }).laboratory;

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

describe("genes", () => {
  test("are a pair of bits for each layer between the ends, the matrix's own first", () => {
    const laboratory = synthetic();
    const genes = genesOf(laboratory, PAIRS);
    // ResNet-8 has seven convolutions and two shortcuts, of which the stem keeps its bits.
    expect(genes).toHaveLength(8);
    expect(genes[0]).toEqual([
      { "s0.0.a/input": 5, "s0.0.a/kernel": 5 },
      { "s0.0.a/input": 2, "s0.0.a/kernel": 2 },
      { "s0.0.a/input": 4, "s0.0.a/kernel": 2 },
      { "s0.0.a/input": 8, "s0.0.a/kernel": 8 },
    ]);
    const own = genesOf(laboratory, [{ weights: 5, activations: 5 }]);
    expect(new Set(own.map(({ length }) => length))).toEqual(new Set([1]));
    const { cost } = spaceOf(laboratory);
    for (let i = 0; i < 20; i++) {
      const path = genes.map(({ length }) => random(`path ${String(i)}`).integer(length));
      expect(cost(path)).toBe(laboratory.cost(policyOf(genes, path)));
    }
  });

  test("are of weights alone where only their size counts, each width once", () => {
    const { laboratory } = syntheticLaboratory(network, spos.search, {
      ...{ accuracy: () => 0, visits: 1, budget: { unit: "size" } },
    });
    expect(genesOf(laboratory, PAIRS)[0]).toEqual([
      { "s0.0.a/kernel": 5 },
      { "s0.0.a/kernel": 2 },
      { "s0.0.a/kernel": 8 },
    ]);
  });

  test("have layers that read the same input in one, and what the backend lacks in none", () => {
    const { layers, free, widths } = synthetic();
    const [a, b] = layers.slice(1, 3);
    if (a === undefined || b === undefined) throw new Error("ResNet-8 has more layers");
    const genes = genesOf(
      {
        layers: [a, { ...b, input: a.input }],
        free,
        widths: { weight: [2, 4], activation: widths.activation },
      },
      PAIRS,
    );
    expect(genes).toEqual([
      [
        { "s0.0.a/input": 5, "s0.0.a/kernel": 5, "s0.0.b/kernel": 5 },
        { "s0.0.a/input": 2, "s0.0.a/kernel": 2, "s0.0.b/kernel": 2 },
        { "s0.0.a/input": 4, "s0.0.a/kernel": 2, "s0.0.b/kernel": 2 },
      ],
    ]);
  });
});

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

describe("P3: evolution", () => {
  test.each([spos, sposBins])("tries nothing twice or over the budget: $name", async (method) => {
    const { search } = await searchToy(method);
    const trace = search?.trace ?? [];
    // 600 of 1000 visits are 25 steps; the rest 6 paths, each 40 images measured and 24 held out.
    expect(trace).toHaveLength(6);
    expect(search?.visits.used).toBe(600 + 6 * 64);
    expect(new Set(trace.map(({ policy }) => JSON.stringify(policy))).size).toBe(6);
    for (const { cost } of trace) expect(cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
  });

  test("ends with the same bits when it is killed, and follows the seed", async () => {
    const whole = await searchToy(spos);
    const { deaths, ...killed } = await searchToy(spos, { killed: 0.1 });
    expect(deaths).toBeGreaterThan(2);
    expect({ ...killed, deaths: 0 }).toEqual(whole);
    expect((await searchToy(spos, { seed: 1 })).search?.trace).not.toEqual(whole.search?.trace);
  });

  test("stops at what there is, and says when visits are too few", async () => {
    const few = { ...hyperparameters, search: { ...hyperparameters.search, visits: 100 } };
    await expect(searchToy(spos, { hyperparameters: few })).rejects.toThrow(
      /100 image visits are too few to try a path, which takes 64/,
    );
  });
});

/** What policies of the first stage lose counts ten times. */
const sensitiveStart = (policy: Readonly<Record<string, number>>) => {
  const lost = Object.entries(policy).reduce(
    (sum, [id, bits]) => sum + (8 - bits) * (id.startsWith("s0") ? 0.005 : 0.0005),
    0,
  );
  return { accuracy: 0.9 - lost, loss: lost };
};

describe("P4: of evolution the best so far", () => {
  const run = async (evaluations: number, seed: number) => {
    const { laboratory } = syntheticLaboratory(network, spos.search, {
      ...{ accuracy: () => 0, visits: 1, seed },
    });
    const space = spaceOf(laboratory);
    const judge = (path: readonly number[]) =>
      Promise.resolve(sensitiveStart(policyOf(space.genes, path)));
    return { space, tried: await evolve(laboratory, space, { evaluations, judge }) };
  };

  test("is better than that of as many random paths, in each of three seeds", async () => {
    for (const seed of [0, 1, 2]) {
      const { tried, space } = await run(96, seed);
      expect(tried.length).toBeLessThanOrEqual(96);
      const numbers = randomStream(seed, "control");
      const drawn = Array.from({ length: 96 }, () =>
        sensitiveStart(policyOf(space.genes, drawLegal(space, numbers))),
      );
      const best = ranked(tried)[0]?.accuracy ?? 0;
      expect(best).toBeGreaterThan(Math.max(...drawn.map(({ accuracy }) => accuracy)));
      expect(best).toBeGreaterThan(Math.max(...tried.slice(0, 16).map((trial) => trial.accuracy)));
    }
  });

  test("never falls, and is no worse for a larger budget among the same paths", async () => {
    const { tried, space } = await run(48, 0);
    const bestOf = (trials: typeof tried) => ranked(trials)[0]?.accuracy ?? 0;
    for (let i = 2; i <= tried.length; i++)
      expect(bestOf(tried.slice(0, i))).toBeGreaterThanOrEqual(bestOf(tried.slice(0, i - 1)));
    const within = (part: number) =>
      bestOf(tried.filter(({ path }) => space.cost(path) <= part * space.budget));
    for (const part of [0.6, 0.7, 0.8, 0.9])
      expect(within(part + 0.1)).toBeGreaterThanOrEqual(within(part));
  });

  test("of equals is the one with the lower loss", () => {
    const trial = (loss: number) => ({ path: [loss], accuracy: 0.5, loss });
    expect(ranked([trial(2), trial(1), trial(3)]).map(({ loss }) => loss)).toEqual([1, 2, 3]);
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

describe("P6", () => {
  const genes = [{}, {}, {}].map(() => [{ a: 1 }, { a: 2 }, { a: 3 }]);
  const numbers: RandomNumbers = random("breeding");

  test("a mutation without a chance is the parent, one that is certain anything", () => {
    expect(mutated(genes, [2, 1, 0], { chance: 0, random: numbers })).toEqual([2, 1, 0]);
    const seen = new Set<string>();
    for (let i = 0; i < 500; i++)
      seen.add(mutated(genes, [2, 1, 0], { chance: 1, random: numbers }).join());
    expect(seen.size).toBe(27);
  });

  test("crossing equals gives the same, crossing others each choice of one", () => {
    expect(crossed([2, 1, 0], [2, 1, 0], numbers)).toEqual([2, 1, 0]);
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) seen.add(crossed([0, 0, 0], [1, 2, 1], numbers).join());
    expect(seen.size).toBe(8);
    for (const path of seen) expect(path).toMatch(/^[01],[02],[01]$/);
  });
});

test("where next to nothing fits the budget, the cheapest does", () => {
  const { laboratory } = syntheticLaboratory(network, spos.search, {
    ...{ accuracy: () => 0, visits: 1, bits: 2 },
  });
  const space = spaceOf(laboratory);
  for (let i = 0; i < 10; i++)
    expect(drawLegal(space, random(`cheap ${String(i)}`))).toEqual(space.genes.map(() => 0));
  expect(() => drawLegal({ ...space, budget: 1 }, random("none"))).toThrow(/no path costs less/);
});
