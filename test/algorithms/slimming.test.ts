import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../algorithms/algorithm.js";
import type { ChannelGroup, Found, Laboratory } from "../../algorithms/laboratory.js";
import { keptFilters, keptParameters } from "../../algorithms/search/keptChannels.js";
import { parameterizedPruning } from "../../algorithms/parameterizedPruning.js";
import { slimming } from "../../algorithms/slimming.js";
import { fbgemm } from "../../backends/fbgemm.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { foldBatchNorm, placeQuantizers } from "../../pipelines/network/index.js";
import { floatNetwork, searchToy } from "../searching.js";

const withRun = (run: (laboratory: Laboratory) => Promise<Found>): Algorithm => ({
  ...slimming,
  search: { ...slimming.search, budget: { unit: "multiplications" }, run },
});

/** A search that looks and changes nothing. */
const look = (run: (laboratory: Laboratory) => Promise<void>, changes = {}) =>
  searchToy(
    {
      ...slimming,
      search: {
        ...slimming.search,
        mayExceed: true,
        run: async (laboratory) => {
          await run(laboratory);
          return { policy: {} };
        },
      },
    },
    changes,
  );

const folded = {
  batchNorm: fbgemm.batchNorm,
  quantized: placeQuantizers(foldBatchNorm(floatNetwork, fbgemm.batchNorm), fbgemm, {
    ...{ weights: 8, activations: 8 },
  }),
};

describe("channels that are taken away", () => {
  test.each([
    ["live", {}],
    ["merged", folded],
  ])("change nothing where they were 0: batch norm %s", async (_, changes) => {
    await look(async (laboratory) => {
      const { groups, parameters, prepare, heldOut, network } = laboratory;
      const kept = new Map<ChannelGroup, number[]>(
        groups.map((group, index) => [
          group,
          [...Array(group.channels).keys()].filter((channel) => channel % 3 !== index % 3),
        ]),
      );
      // gamma = beta = 0: batch norm gives 0 for these channels, and ReLU and additions leave it.
      const silenced = Object.fromEntries(
        Object.entries(parameters).map(([name, { shape, data }]) => {
          const [node = "", part = ""] = name.split("/");
          const owner = network.nodes.some((one) => one.name === node) ? node : node.slice(0, -3);
          const group = groups.find(({ nodes }) => nodes.includes(owner));
          const stays = group && kept.get(group);
          const isScale = part === "gamma" || part === "beta";
          return [
            name,
            {
              shape,
              data: isScale ? data.map((v, i) => (stays?.includes(i) ? v : 0)) : data,
            },
          ];
        }),
      );
      const [batch] = heldOut;
      if (batch === undefined) throw new Error("nothing is held out");
      const whole = await prepare({ by: [], training: false })(silenced, batch);
      const filters = keptFilters(kept);
      const sliced = keptParameters(laboratory, silenced, kept);
      const part = await prepare({ by: [], training: false, filters })(sliced, batch);
      expect(filters["s0.0.a"]).toBeLessThan(4);
      expect(part.loss).toBeCloseTo(whole.loss, 5);
      expect(part.correct).toBe(whole.correct);
    }, changes);
  });
});

test.each([slimming, parameterizedPruning])(
  "$name that is killed at random ends with the same bits, within its budget",
  async (algorithm) => {
    const { deaths: none, ...whole } = await searchToy(algorithm);
    const { deaths, ...killed } = await searchToy(algorithm, { killed: 0.1 });
    expect(none).toBe(0);
    expect(deaths).toBeGreaterThan(0);
    expect(killed).toEqual(whole);
    const { budget, cost = Infinity } = whole.search ?? {};
    expect(budget).toMatchObject({ unit: "multiplications", share: 0.5 });
    expect(cost).toBeLessThanOrEqual(budget?.allowed ?? 0);
    expect(cost).toBeGreaterThan(0.8 * (budget?.allowed ?? 0));
    expect(whole.tensors["s0.0.a/kernel"]?.shape).toEqual([
      ...[3, 3, whole.filters?.["stem"], whole.filters?.["s0.0.a"]],
    ]);
  },
);

describe("slimming", () => {
  test("lets the smallest scales of the whole network go", async () => {
    let lost: string[] = [];
    await look(async (laboratory) => {
      const { groups } = laboratory;
      const batchNorms = (group?: ChannelGroup) =>
        Object.keys(laboratory.parameters).filter((name) =>
          group?.convolutions.some((one) => name === `${one}.bn/gamma`),
        );
      // All scales are 1 but some: of joined channels the mean counts.
      const scaled = Object.fromEntries(
        Object.entries(laboratory.parameters).map(([name, value]) => {
          if (!name.endsWith("/gamma")) return [name, value];
          const isJoined = batchNorms(groups[0]).includes(name);
          return [
            name,
            {
              ...value,
              data: value.data.map((_, i) =>
                i === 1
                  ? name.startsWith("s1.0.a")
                    ? 0.01
                    : isJoined && name.startsWith("stem")
                      ? 0.01
                      : 1
                  : 1,
              ),
            },
          ];
        }),
      );
      const { filters = {} } = await slimming.search.run({
        ...laboratory,
        parameters: scaled,
        // No visits for training, and a budget that one channel less fits.
        visits: { allowed: 24, used: 0 },
        limits: [
          {
            unit: { unit: "parameters" },
            allowed: laboratory.cost({}, { unit: "parameters" }) - 1,
          },
        ],
      });
      lost = Object.keys(filters);
    });
    expect(lost).toEqual(["s1.0.a"]);
  });

  test("cannot be where channels have no scales", () => {
    const merged = foldBatchNorm(resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 }), 0);
    const [site] = folded.quantized.sites;
    if (site === undefined) throw new Error("there are no sites");
    expect(slimming.unsupported(site, merged)).toMatch(/no batch norm|network has none/);
    expect(slimming.unsupported(site, floatNetwork)).toBeUndefined();
  });
});

describe("a search of filters", () => {
  test("gives new first values to what it gives none", async () => {
    const filters = { "s0.0.a": 6 };
    const { tensors } = await searchToy(
      withRun(() =>
        Promise.resolve({ policy: {}, filters: { ...filters, "s2.0.a": 1, "s1.0.a": 1 } }),
      ),
    );
    expect(tensors["s0.0.a/kernel"]?.shape).toEqual([3, 3, 4, 6]);
    expect(tensors["s0.0.a.bn/gamma"]?.shape).toEqual([6]);
    expect(tensors["s0.0.b/kernel"]?.shape).toEqual([3, 3, 6, 4]);
  });

  test.each([
    [
      "a shape that its network does not have",
      {
        filters: { "s2.0.a": 1, "s1.0.a": 1 },
        tensors: { "s2.0.a/kernel": { shape: [1], data: new Float32Array(1) } },
      },
      /gave "s2.0.a\/kernel" the shape \[1\]; its network has \[3,3,8,1\]/,
    ],
    ["more than its budget", { filters: { "s2.0.a": 64 } }, /\(multiplications\), over/],
    ["channels that do not fit", { filters: { stem: 2 } }, /"s0.0.add" joins them/],
  ])("is refused %s", async (_, found, message) => {
    await expect(
      searchToy(withRun(() => Promise.resolve({ policy: {}, ...found }))),
    ).rejects.toThrow(message);
  });
});
