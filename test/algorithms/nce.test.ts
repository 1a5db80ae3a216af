import { describe, expect, test } from "vitest";
import type { ChannelGroup, Found, Laboratory } from "../../algorithms/laboratory.js";
import { lsq } from "../../algorithms/lsq.js";
import { nce } from "../../algorithms/nce.js";
import { interpolation, logitGradient, sampleTwo } from "../../algorithms/search/channelMixing.js";
import { ChannelSearch } from "../../algorithms/search/channelSearch.js";
import { startDescent } from "../../algorithms/search/descent.js";
import { grown, resized } from "../../algorithms/search/grownChannels.js";
import {
  costByWidths,
  costPull,
  expectedCost,
  fittingWidths,
  limitTerms,
} from "../../algorithms/search/widthCost.js";
import {
  filtersOf,
  firstChoices,
  moved,
  nameOf,
  preferred,
  softmax,
  type AllChoices,
} from "../../algorithms/search/widthChoices.js";
import { tas } from "../../algorithms/tas.js";
import { uniformWidth } from "../../algorithms/uniformWidth.js";
import { mobileNetV2, resnet8 } from "../../benchmarks/models/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { initialParameters, parameterSpecs, withFilters } from "../../pipelines/network/index.js";
import { hyperparameters, searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

const model = { inputShape: [28, 28, 1], classes: 10, width: 8 };
const laboratoryOf = (network = resnet8.build(model)) =>
  syntheticLaboratory(network, nce.search, { accuracy: () => 0, visits: 1 }).laboratory;

/** Looks at a toy laboratory, as a search that finds nothing. */
const look = (run: (laboratory: Laboratory) => Promise<void>) =>
  searchToy({
    ...nce,
    search: {
      ...nce.search,
      run: async (laboratory) => {
        await run(laboratory);
        return { policy: {} };
      },
    },
  });

const rules = (growsAbove: number) => ({ quantizers: lsq, growsAbove });

/** All groups mix the same two of their choices. */
const samplesOf = (choices: AllChoices, picked: readonly [number, number]) =>
  new Map(Object.keys(choices).map((name) => [name, { picked, parts: [0.3, 0.7] as const }]));

describe("channel-wise interpolation", () => {
  const apply = (x: readonly number[], to: number) => {
    const { data } = interpolation(x.length, to, 8);
    return Array.from({ length: to }, (_, t) =>
      x.reduce((sum, value, channel) => sum + value * (data[channel * 8 + t] ?? NaN), 0),
    );
  };

  test("is the identity between equal widths, and keeps constant channels", () => {
    expect(apply([1, 2, 3, 4, 5], 5)).toEqual([1, 2, 3, 4, 5]);
    for (const to of [3, 5, 7, 8])
      for (const value of apply([2, 2, 2, 2, 2], to)) expect(value).toBeCloseTo(2, 6);
  });

  test("averages pairs to half as many, and overlapping channels to more", () => {
    expect(apply([1, 3, 5, 9], 2)).toEqual([2, 7]);
    // Of 2 to 3: floor and ceil of 0, 2/3, 4/3, 2.
    expect(apply([1, 3], 3)).toEqual([1, 2, 3]);
  });
});

describe("preferences", () => {
  test("are drawn without replacement, and their parts add up to 1", () => {
    const random = randomStream(3, "draws");
    const counts = [0, 0, 0];
    const choices = { ...{ widths: [1, 2, 3], moments: [] }, logits: [0, 0, Math.log(8)] };
    for (let i = 0; i < 3000; i++) {
      const { picked, parts } = sampleTwo(choices, 1, random);
      expect(picked[0]).not.toBe(picked[1]);
      expect(parts[0] + parts[1]).toBeCloseTo(1, 12);
      for (const one of picked) counts[one] = (counts[one] ?? 0) + 1;
    }
    expect(counts[2]).toBeGreaterThan(2400);
    expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThan(300);
  });

  test("have the gradient of softmax over the two that were drawn", () => {
    const [noise, temperature] = [[0.3, -0.2, 0.9], 0.7];
    const byParts = [1.5, -0.4];
    const picked = [2, 0] as const;
    const partsAt = (logits: readonly number[]) => {
      const u = softmax(logits).map(
        (chance, i) => (Math.log(chance) + (noise[i] ?? 0)) / temperature,
      );
      const [a = NaN, b = NaN] = softmax(picked.map((i) => u[i] ?? NaN));
      return [a, b] as const;
    };
    const lossAt = (logits: readonly number[]) => {
      const [a, b] = partsAt(logits);
      return 1.5 * a - 0.4 * b;
    };
    const logits = [0.2, -0.5, 0.4];
    const sample = { picked, parts: partsAt(logits) };
    const choices = { widths: [1, 2, 3], moments: [], logits };
    const found = logitGradient(choices, sample, { byParts, temperature });
    logits.forEach((_, i) => {
      const at = (step: number) => lossAt(logits.map((v, j) => (j === i ? v + step : v)));
      expect(found[i]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
    });
  });

  test("move with Adam: a first step of the rate against the sign of the gradient", () => {
    const { logits } = moved(
      {
        widths: [1, 2],
        logits: [0, 0],
        moments: [
          [0, 0],
          [0, 0],
        ],
      },
      [0.02, -3],
      { rate: 0.1, decay: 0, step: 1 },
    );
    expect(logits[0]).toBeCloseTo(-0.1, 5);
    expect(logits[1]).toBeCloseTo(0.1, 5);
  });
});

describe("costs of channels", () => {
  test.each([
    ["ResNet-8", resnet8.build(model)],
    ["MobileNetV2", mobileNetV2.build(model)],
  ])("are exact where widths are whole, and have right slopes: %s", (_, network) => {
    const laboratory = laboratoryOf(network);
    const free = laboratory.groups.filter(({ fixedBy }) => fixedBy === undefined);
    const widths = new Map(free.map((group, i) => [nameOf(group), group.channels + 1 + (i % 3)]));
    const filters = filtersOf(free, (name) => widths.get(name) ?? 1);
    for (const unit of ["multiplications", "parameters"] as const) {
      const byWidths = costByWidths(laboratory, unit);
      const at = (changed?: string) => (group: (typeof free)[number]) =>
        (widths.get(nameOf(group)) ?? group.channels) + (nameOf(group) === changed ? 1 : 0);
      const { cost, slopes } = expectedCost(byWidths, at());
      const exact = laboratory.cost({}, { unit }, { filters });
      expect(cost / exact).toBeCloseTo(1, 12);
      for (const group of free.slice(0, 4)) {
        const more = expectedCost(byWidths, at(nameOf(group))).cost;
        expect(slopes.get(group)).toBeCloseTo(more - cost, 3);
      }
    }
  });

  test.each([0.6, 0.8, 1])("pull preferences to a network of %f of them", (share) => {
    const laboratory = laboratoryOf();
    const allowed = share * laboratory.cost({}, { unit: "multiplications" });
    const limits = limitTerms({
      ...laboratory,
      limits: [{ unit: { unit: "multiplications" }, allowed }],
    });
    const random = randomStream(1, "first");
    let choices: AllChoices = Object.fromEntries(
      laboratory.groups.map((group) => {
        const first = firstChoices(group);
        return [nameOf(group), { ...first, logits: first.logits.map(() => random.uniform() / 50) }];
      }),
    );
    const costs: number[] = [];
    for (let step = 1; step <= 400; step++) {
      const pull = costPull(laboratory, limits, choices);
      choices = Object.fromEntries(
        Object.entries(choices).map(([name, own]) => [
          name,
          moved(own, pull.get(name) ?? [], { rate: 0.02, decay: 1e-3, step }),
        ]),
      );
      const widths = (name: string) => choices[name]?.widths[preferred(choices[name])] ?? 0;
      const filters = filtersOf(laboratory.groups, widths);
      costs.push(laboratory.cost({}, { unit: "multiplications" }, { filters }) / allowed);
    }
    // Choices are tenths of a layer, so that costs go back and forth over the band from 95 % to the limit.
    const distances = costs.slice(-100).map((cost) => Math.abs(cost - 0.975));
    expect(distances.reduce((a, b) => a + b, 0) / 100).toBeLessThan(0.13);
    if (share < 0.7) expect(costs[0]).toBeGreaterThan(1.4);
  });

  test("take back the widths that are missed least until the limits hold", () => {
    const laboratory = laboratoryOf();
    const choices: AllChoices = Object.fromEntries(
      laboratory.groups.map((group, i) => {
        const first = firstChoices(group);
        // The widest is preferred, in the first groups only a little.
        return [nameOf(group), { ...first, logits: first.widths.map((_, at) => at * (i + 1)) }];
      }),
    );
    const widths = fittingWidths(
      {
        ...laboratory,
        limits: [{ unit: { unit: "multiplications" }, allowed: 0.9 * laboratory.budget }],
      },
      choices,
    );
    const cost = laboratory.cost(
      {},
      { unit: "multiplications" },
      { filters: filtersOf(laboratory.groups, (name) => widths.get(name) ?? 1) },
    );
    expect(cost).toBeLessThanOrEqual(0.9 * laboratory.budget);
    expect(widths.get("stem")).toBeLessThan(8);
    expect(widths.get("s2.0.a")).toBe(32);
  });
});

describe("tensors that grow", () => {
  test.each([
    ["ResNet-8", resnet8.build(model)],
    ["MobileNetV2", mobileNetV2.build(model)],
  ])("fit the wider network and keep what there was: %s", (_, float) => {
    const { network, sites, groups } = laboratoryOf(float);
    const free = groups.filter(({ fixedBy }) => fixedBy === undefined);
    const counts = new Map(free.map((group) => [group, group.channels + 3]));
    const filters = filtersOf(free, (name) => {
      const group = free.find((one) => nameOf(one) === name);
      return (group && counts.get(group)) ?? 1;
    });
    const parameters = initialParameters(network, 0) as Parameters<typeof startDescent>[0];
    const random = randomStream(0, "growth");
    const { tensors } = grown({ network, groups }, startDescent(parameters), { counts, random });
    const specs = parameterSpecs(withFilters({ network, sites }, filters).network);
    for (const [name, { shape }] of specs)
      expect([name, tensors[name]?.shape]).toEqual([name, shape]);
    const kernel = network.nodes.find(
      (node) => node.op === "conv2d" && !node.depthwise && node.name !== "stem",
    );
    const name = `${kernel?.name ?? ""}/kernel`;
    const [before, after] = [parameters[name], tensors[name]];
    const old = before?.shape ?? [];
    const at = (value: typeof after, [inner = 0, outer = 0]: readonly number[]) =>
      value?.data[inner * (value.shape[3] ?? 1) + outer] ?? NaN;
    expect(at(after, [1, 2])).toBe(at(before, [1, 2]));
    // Old filters read new channels with weights near 0; new filters are as in training from scratch.
    expect(Math.abs(at(after, [old[2] ?? 0, 0]))).toBeLessThan(0.02);
    const news = Array.from({ length: old[2] ?? 0 }, (_unused, i) => at(after, [i, old[3] ?? 0]));
    expect(Math.max(...news.map(Math.abs))).toBeGreaterThan(0.05);
  });
});

describe("tensors of another width", () => {
  test("are the first channels of a narrower group, and new ones behind those of a wider one", () => {
    const { network, sites, groups } = laboratoryOf();
    const parameters = initialParameters(network, 0) as Laboratory["parameters"];
    const free = groups.filter(({ fixedBy }) => fixedBy === undefined);
    const countOf = (group: ChannelGroup) =>
      nameOf(group) === "s1.0.a" ? group.channels + 4 : group.channels - 1;
    const counts = new Map(free.map((group) => [group, countOf(group)]));
    const tensors = resized({ network, groups, parameters }, counts, randomStream(0, "wider"));
    const filters = Object.fromEntries(
      free.flatMap((group) => group.convolutions.map((name) => [name, countOf(group)])),
    );
    const specs = parameterSpecs(withFilters({ network, sites }, filters).network);
    for (const [name, { shape }] of specs)
      expect([name, tensors[name]?.shape]).toEqual([name, shape]);
    // From [3, 3, 8, 16] to [3, 3, 7, 20]: in all places, the first 16 filters' weights for 7 channels.
    const [old, resizedKernel] = [parameters, tensors].map(
      (all) => all["s1.0.a/kernel"]?.data ?? new Float32Array(),
    );
    for (let place = 0; place < 9; place++)
      for (let input = 0; input < 7; input++) {
        const [from, to] = [(place * 8 + input) * 16, (place * 7 + input) * 20];
        expect(resizedKernel?.slice(to, to + 16)).toEqual(old?.slice(from, from + 16));
      }
  });
});

describe("a mixed network", () => {
  test("is the plain quantized one where both choices are the same, and does not change when it grows", async () => {
    await look(async (laboratory) => {
      const search = new ChannelSearch(laboratory, rules(0));
      const started = await search.start();
      const [batch] = laboratory.heldOut;
      if (batch === undefined) throw new Error("nothing is held out");
      const lossOf = async (
        { choices, descent: { tensors } }: typeof started,
        picked: readonly [number, number],
      ) => {
        const samples = samplesOf(started.choices, picked);
        const inputs = search.mixed.inputs(choices, tensors, samples);
        return (await search.mixed.run(choices, tensors)(inputs, batch)).loss;
      };
      // The second of the choices of 4, 8 and 16 channels: 60 % of them, rounded.
      const widths = new Map(
        Object.entries(started.choices).map(([name, own]) => [name, own.widths[1] ?? 1]),
      );
      const groups = search.mixed.searched.map(({ group }) => group);
      const filters = filtersOf(groups, (name) => widths.get(name) ?? 1);
      const plain = laboratory.prepare({
        ...{ by: [], training: true, filters },
        quantize: (x, site, inputs) => {
          const values = Object.fromEntries(
            lsq[site.role].learned.flatMap((name) => {
              const value = inputs[`${site.id}:${name}`];
              return value === undefined ? [] : [[name, value] as const];
            }),
          );
          return lsq[site.role].fakeQuantize(x, values, site);
        },
      });
      const counts = new Map(
        search.mixed.searched.map(({ name, group }) => [group, widths.get(name) ?? 1]),
      );
      const expected = await plain(
        {
          ...resized(laboratory, counts, laboratory.random("none is wider")),
          ...(await laboratory.calibrate(lsq)),
        },
        batch,
      );
      expect(await lossOf(started, [1, 1])).toBeCloseTo(expected.loss, 4);
      expect(await lossOf(started, [0, 2])).not.toBeCloseTo(expected.loss, 3);

      const wider = search.expand(started, "0");
      expect(await lossOf(wider, [0, 2])).toBeCloseTo(await lossOf(started, [0, 2]), 4);
      expect(await lossOf(wider, [1, 1])).toBeCloseTo(expected.loss, 4);
    });
  });

  test("grows every time up to its cap above 0, and never above 1", async () => {
    await look(async (laboratory) => {
      const always = new ChannelSearch(laboratory, rules(0));
      const never = new ChannelSearch(laboratory, rules(1));
      let state = await always.start();
      const widest = (name: string) => state.choices[name]?.widths.at(-1);
      const growths: (number | undefined)[] = [];
      for (let round = 0; round < 10; round++) {
        state = always.expand(state, String(round));
        growths.push(widest("s2.0.a"));
      }
      expect(growths).toEqual([18, 20, 22, 24, 26, 28, 30, 32, 32, 32]);
      expect(widest("stem")).toBe(8);
      expect(state.choices["stem"]?.logits).toHaveLength(state.choices["stem"]?.widths.length ?? 0);
      const same = await never.start();
      expect(never.expand(same, "0").choices).toEqual(same.choices);
    });
  });

  test("keeps the velocities of what there was when it grows", async () => {
    await look(async (laboratory) => {
      const search = new ChannelSearch(laboratory, rules(0));
      const [batch] = laboratory.epoch("one");
      if (batch === undefined) throw new Error("there are no images");
      const step = { seed: "0", progress: 0 };
      const state = await search.trainWeights(await search.start(), batch, step);
      const wider = search.expand(state, "0");
      const name = "s0.0.a/kernel";
      const [before, after] = [state.descent.velocities[name], wider.descent.velocities[name]];
      const shape = wider.descent.tensors[name]?.shape ?? [];
      expect(shape).toEqual([3, 3, 5, 5]);
      expect(before?.some((speed) => speed !== 0)).toBe(true);
      expect(Array.from({ length: 4 }, (_, i) => after?.[i])).toEqual([
        ...(before?.slice(0, 4) ?? []),
      ]);
      expect(after?.[4]).toBe(0);
      // What grew can be trained on.
      expect((await search.trainWeights(wider, batch, step)).steps).toBe(2);
    });
  });
});

describe("channel searches", () => {
  test("that are killed at random end with the same bits, within both limits, and differ by growth alone", async () => {
    let handed: Found | undefined;
    let float: Laboratory["parameters"] = {};
    const observed = {
      ...nce.search,
      run: async (laboratory: Laboratory) => {
        float = laboratory.parameters;
        return (handed = await nce.search.run(laboratory));
      },
    };
    const { deaths: none, ...whole } = await searchToy({ ...nce, search: observed });
    const { deaths, ...killed } = await searchToy(nce, { killed: 0.1 });
    expect(none).toBe(0);
    expect(deaths).toBeGreaterThan(0);
    expect(killed).toEqual(whole);
    const { search, filters } = whole;
    expect(search?.trace).toHaveLength(12);
    expect(search?.cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    expect(search?.within.map(({ unit }) => unit)).toEqual(["parameters"]);
    for (const { cost, allowed } of search?.within ?? []) expect(cost).toBeLessThanOrEqual(allowed);
    expect(whole.tensors["s0.0.a/kernel"]?.shape).toEqual([
      ...[3, 3, filters?.["stem"], filters?.["s0.0.a"]],
    ]);
    // The final training starts from the float network, and steps from its own calibration.
    const starts = handed?.tensors ?? {};
    expect(Object.keys(starts).sort()).toEqual(Object.keys(float).sort());
    const [first, last] = [starts["stem/kernel"]?.data, float["stem/kernel"]?.data];
    expect(first?.length).toBeGreaterThan(0);
    for (const value of first ?? []) expect(last).toContain(value);
    const control = await searchToy(tas);
    for (const [name, count] of Object.entries(control.filters ?? {}))
      expect(count).toBeLessThanOrEqual(name.startsWith("s2") ? 16 : name.startsWith("s1") ? 8 : 4);
  });

  test("uniform width needs no image, and widens all layers by one factor within the budget", async () => {
    const wide = {
      ...uniformWidth,
      search: { ...uniformWidth.search, budget: { unit: "multiplications", share: 2 } as const },
    };
    const { search, filters = {} } = await searchToy(wide, {
      hyperparameters: { ...hyperparameters, search: { ...hyperparameters.search, visits: 1 } },
    });
    expect(search?.visits.used).toBe(0);
    expect(search?.cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
    expect(search?.cost).toBeGreaterThan(0.85 * (search?.budget.allowed ?? 0));
    expect(new Set(["stem", "s0.0.a", "s0.0.b"].map((name) => filters[name])).size).toBe(1);
    expect(filters["s2.0.a"]).toBeGreaterThan(16);
    const { filters: same = {} } = await searchToy(uniformWidth);
    expect([same["stem"], same["s1.0.a"], same["s2.0.d"]]).toEqual([4, 8, 16]);
  });
});
