import { describe, expect, test } from "vitest";
import type { Found, Laboratory } from "../../algorithms/laboratory.js";
import { lsq } from "../../algorithms/lsq.js";
import { nce } from "../../algorithms/nce.js";
import { ChannelSearch } from "../../algorithms/search/channelSearch.js";
import { resized } from "../../algorithms/search/grownChannels.js";
import { filtersOf, type AllChoices } from "../../algorithms/search/widthChoices.js";
import { tas } from "../../algorithms/tas.js";
import { uniformWidth } from "../../algorithms/uniformWidth.js";
import { hyperparameters, searchToy } from "../searching.js";

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
