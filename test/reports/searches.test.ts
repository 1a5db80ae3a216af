import { describe, expect, test } from "vitest";
import { costsElsewhere } from "../../reports/costsElsewhere.js";
import { searchesView } from "../../reports/searchesView.js";
import { searchGains } from "../../reports/searchGains.js";
import type { CompletedCell, Variant } from "../../results/schema.js";
import { completedCell } from "../results/examples.js";

type Budget = NonNullable<CompletedCell["search"]>["budget"];

/** A search's cell, in which every hardware model says the cycles that it is given. */
function searched(
  {
    name = "haq",
    seed = 0,
    allowed = 1000,
    variant = {},
  }: {
    readonly name?: string;
    readonly seed?: number;
    readonly allowed?: number;
    readonly variant?: Variant;
  },
  accuracy = 0.9,
  { edge = 10, cloud = 10 } = {},
): CompletedCell {
  const cell = completedCell({ algorithm: { name, version: 1 }, seed, variant }, accuracy);
  const budget: Budget = { unit: "size", ...variant.budget, allowed: 100 };
  const { quantized } = cell.cost;
  return {
    ...cell,
    cost: {
      ...cell.cost,
      quantized: { ...quantized, hardware: { edge: { cycles: edge }, cloud: { cycles: cloud } } },
    },
    search: { budget, visits: { allowed, used: allowed - 1 }, cost: 90, sites: [], trace: [] },
  };
}

const seeds = (name: string, accuracies: readonly number[], variant: Variant = {}) =>
  accuracies.map((accuracy, seed) => searched({ name, seed, variant }, accuracy));
const random: Variant = { search: "random" };

describe("a search beside random search", () => {
  // Differences 1.0, 1.1 and 0.9 points: t = 17.3 with 2 degrees of freedom, p = 0.0033.
  const better = [
    ...seeds("haq", [0.8, 0.82, 0.84]),
    ...seeds("haq", [0.79, 0.809, 0.831], random),
  ];

  test("is better where it is so beyond noise, by the tests of all searches", () => {
    const [gain] = searchGains(better);
    expect(gain?.random.estimate.mean).toBeCloseTo(0.01, 9);
    expect(gain?.random.verdict).toBe("better");
    expect(gain?.found.map(({ accuracy }) => accuracy.deployed)).toEqual([0.8, 0.82, 0.84]);
    const drawn = gain?.random.cells.map(({ accuracy }) => accuracy.deployed);
    expect(drawn).toEqual([0.79, 0.809, 0.831]);
    // Holm with 16 tests: 0.0033 times 16 is 0.053.
    const others = Array.from({ length: 15 }, (_, i) => `other${String(i)}`).flatMap((name) => [
      ...seeds(name, [0.5, 0.6, 0.7]),
      ...seeds(name, [0.7, 0.6, 0.5], random),
    ]);
    expect(searchGains([...better, ...others])[0]?.random.verdict).toBe("undecided");
  });

  test("is left out where there is none of its own budget, backend, bits and visits", () => {
    const found = seeds("haq", [0.8, 0.82, 0.84]);
    const budget = { unit: "cycles", on: "edge" } as const;
    expect(searchGains(found)).toEqual([]);
    expect(searchGains([...found, ...seeds("sdq", [0.7, 0.7, 0.7], random)])).toEqual([]);
    expect(searchGains([...found, searched({ variant: { ...random, budget } })])).toEqual([]);
    expect(searchGains([...found, searched({ variant: random, allowed: 999 })])).toEqual([]);
    expect(searchGains([...found, searched({ variant: random })])).toHaveLength(1);
  });

  test("is compared with the most accurate algorithm that has the same bits everywhere, too", () => {
    expect(searchGains(better)[0]?.uniform).toBeUndefined();
    const uniform = (
      name: string,
      accuracies: readonly number[],
      changes: Partial<CompletedCell> = {},
    ) =>
      accuracies.map((accuracy, seed) => ({
        ...completedCell({ algorithm: { name, version: 1 }, seed }, accuracy),
        ...changes,
      }));
    const kernel = { id: "a/kernel", role: "weight", bitWidth: 5, scheme: "int5" } as const;
    const [gain] = searchGains([
      ...better,
      ...uniform("lsq", [0.7, 0.7, 0.7]),
      // Differences -1.0, -1.1 and -0.9 points.
      ...uniform("pact", [0.81, 0.831, 0.849]),
      // More accurate, but not the same bits everywhere, not at these bits, or varied.
      ...uniform("channelwise", [0.9, 0.9, 0.9], { sites: [{ ...kernel, channelBits: [3, 5] }] }),
      ...seeds("hawq", [0.9, 0.9, 0.9]),
      completedCell({ bits: { weights: 8, activations: 8 } }, 0.9),
      completedCell({ variant: { graph: 2 } }, 0.9),
    ]);
    expect(gain?.uniform?.cells.map(({ config }) => config.algorithm.name)).toEqual([
      ...["pact", "pact", "pact"],
    ]);
    expect(gain?.uniform?.estimate.mean).toBeCloseTo(-0.01, 9);
    expect(gain?.uniform?.verdict).toBe("worse");
  });

  test("is said in points with its interval and both's visits", () => {
    const view = searchesView([...better, completedCell({}, 0.7)]);
    // 12 points against one seed: t = 0.12 / (0.02 sqrt(4 / 3)) = 5.2, p = 0.035 with 2 degrees of freedom.
    expect(view).toMatchObject({ better: 1, compared: 1, aboveUniform: 1, targets: [] });
    // t(0.975, 2) = 4.303 times 0.1 / sqrt(3) points.
    expect(view?.gains).toMatchObject([
      {
        ...{ algorithm: "haq", bits: "W4A4", accuracy: "82.0 ± 5.0", visits: "999 / 999" },
        random: {
          ...{ algorithm: "haq, random search", accuracy: "81.0 ± 5.1", seeds: 3 },
          ...{ difference: "+1.00 ± 0.25", verdict: "better" },
        },
        uniform: { algorithm: "lsq", accuracy: "70.00" },
      },
    ]);
    expect(searchesView([completedCell()])).toBeUndefined();
  });
});

describe("what was found for one hardware", () => {
  const on = (hardware: string): Variant => ({ budget: { unit: "cycles", on: hardware } });

  test("costs on another so many times what was found for that, seed by seed", () => {
    const cells = [0, 1].flatMap((seed) => [
      searched({ seed, variant: on("edge") }, 0.9, { edge: 10 + seed, cloud: 30 }),
      searched({ seed, variant: on("cloud") }, 0.9, { edge: 22, cloud: 20 + 4 * seed }),
    ]);
    const [table] = costsElsewhere(cells);
    expect(table?.targets).toEqual(["cycles on edge", "cycles on cloud"]);
    expect(table?.rows.map(({ parts }) => [...parts.values()])).toEqual([
      [
        [1, 1],
        [1.5, 1.25],
      ],
      [
        [2.2, 2],
        [1, 1],
      ],
    ]);
    // Half of 1.5 - 1.25 is 0.125; t(0.975, 1) = 12.706: 1.375 ± 1.59.
    expect(searchesView(cells)?.targets[0]?.rows[0]?.costs).toEqual(["1.00", "1.4 ± 1.6"]);
  });

  test("is not compared with random search, shares of budgets, or where the cost is not known", () => {
    const edge = searched({ variant: on("edge") });
    expect(costsElsewhere([edge, searched({ variant: { ...on("cloud"), ...random } })])).toEqual(
      [],
    );
    const half = { budget: { unit: "cycles", on: "cloud", share: 0.5 } } as const;
    expect(costsElsewhere([edge, searched({ variant: half })])).toEqual([]);
    expect(costsElsewhere([edge, searched({ variant: { budget: { unit: "size" } } })])).toEqual([]);
    const [table] = costsElsewhere([edge, searched({ variant: on("elsewhere") })]);
    expect(table?.rows[0]?.parts.get("cycles on elsewhere")).toEqual([]);
    expect(
      searchesView([edge, searched({ variant: on("elsewhere") })])?.targets[0]?.rows[0],
    ).toMatchObject({
      costs: ["1.00", "–"],
    });
  });
});
