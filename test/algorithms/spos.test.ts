import { describe, expect, test } from "vitest";
import type { RandomNumbers } from "../../algorithms/laboratory.js";
import { crossed, drawLegal, evolve, mutated, ranked } from "../../algorithms/search/evolution.js";
import { genesOf, policyOf } from "../../algorithms/search/genes.js";
import { spos } from "../../algorithms/spos.js";
import { sposBins } from "../../algorithms/sposBins.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { hyperparameters, searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";
import { PAIRS, network, random, spaceOf, synthetic } from "./pathSpace.js";

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
