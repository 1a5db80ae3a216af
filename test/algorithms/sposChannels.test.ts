import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import type { Laboratory } from "../../algorithms/laboratory.js";
import { learnedBound } from "../../algorithms/pact.js";
import {
  channelGenes,
  costOfDecided,
  decidedBy,
  firstChannels,
  narrowing as narrowingOf,
} from "../../algorithms/search/channelGenes.js";
import { genesOf, policyOf } from "../../algorithms/search/genes.js";
import { atWidth, codesAt } from "../../algorithms/search/runtimeGrid.js";
import { runtimePact } from "../../algorithms/search/runtimePact.js";
import { nameAt, valuesAt } from "../../algorithms/search/siteValues.js";
import { judgeOf, startSupernet } from "../../algorithms/search/supernet.js";
import { sposChannels } from "../../algorithms/sposChannels.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
const PAIRS = [{ weights: 2, activations: 8 }];

describe("genes of channels", () => {
  const { laboratory } = syntheticLaboratory(network, sposChannels.search, {
    ...{ accuracy: () => 0, visits: 1 },
  });

  test("are fifths of a group's channels, all of them first", () => {
    const counts = channelGenes(laboratory).map((gene) => gene.map((part) => Object.values(part)));
    // The stem and the first block's second convolution are joined by the addition, and so on.
    expect(counts).toContainEqual([
      [8, 8],
      [6, 6],
      [5, 5],
      [3, 3],
      [2, 2],
    ]);
    expect(counts.flat(2).filter((count) => count === 32).length).toBeGreaterThan(0);
  });

  test("cost what the network costs that has them", () => {
    const genes = [...genesOf(laboratory, PAIRS), ...channelGenes(laboratory)];
    const cost = costOfDecided(laboratory, genes);
    const all = genes.map(() => 0);
    expect(cost(all)).toBe(laboratory.budget);
    const numbers = randomStream(0, "paths");
    for (let i = 0; i < 10; i++) {
      const path = genes.map(({ length }) => numbers.integer(length));
      const { policy, filters } = decidedBy(laboratory, policyOf(genes, path));
      expect(Object.keys(policy).every((name) => /kernel$|input$/.test(name))).toBe(true);
      expect(cost(path)).toBe(laboratory.cost(policy, undefined, { filters }));
    }
    const last = genes.length - 1;
    expect(cost(all.with(last, 1))).toBeLessThan(cost(all));
  });
});

test("of what a layer gives, the channels that a path lacks are 0, whatever their weights", async () => {
  await tf.setBackend("cpu");
  const { laboratory } = syntheticLaboratory(network, sposChannels.search, {
    ...{ accuracy: () => 0, visits: 1 },
  });
  const { masks, after } = narrowingOf(laboratory);
  const inputs = Object.fromEntries(
    Object.entries(masks({ "s1.0.a": 3 })).map(([name, { shape, data }]) => [
      name,
      tf.tensor(data, [...shape]),
    ]),
  );
  const given = [...after(tf.ones([1, 1, 1, 16]), "s1.0.a", inputs).dataSync()];
  expect(given).toEqual(Array.from({ length: 16 }, (_, channel) => Number(channel < 3)));
  const whole = after(tf.ones([1, 1, 1, 16]), "s1.0.b", inputs).dataSync();
  expect([...whole]).toEqual(Array.from({ length: 16 }, () => 1));
});

/** A path's network as it would be built. */
async function lossOfNarrow(laboratory: Laboratory, filters: Readonly<Record<string, number>>) {
  const values = laboratory.sites.flatMap((site) => {
    const bits = site.scheme.bitWidth;
    const clips = site.role === "weight" ? {} : learnedBound.initialize([], atWidth(site, bits));
    return Object.entries({ ...clips, ...codesAt(site, bits) }).map(
      ([name, value]) => [nameAt(site, name), value] as const,
    );
  });
  const run = laboratory.prepare({
    ...{ by: [], training: false, filters },
    quantize: (x, site, inputs) => runtimePact(x, valuesAt(site, inputs), site),
  });
  let [sum, images] = [0, 0];
  for (const batch of laboratory.heldOut) {
    const inputs = { ...firstChannels(laboratory, filters), ...Object.fromEntries(values) };
    const { loss } = await run(inputs, batch);
    sum += loss * batch.labels.data.length;
    images += batch.labels.data.length;
  }
  return sum / images;
}

test("a path uses the first channels of weights that all share: its network is the narrow one", async () => {
  await searchToy({
    ...sposChannels,
    search: {
      ...sposChannels.search,
      run: async (laboratory) => {
        const genes = channelGenes(laboratory);
        const cost = costOfDecided(laboratory, genes);
        const narrowing = narrowingOf(laboratory);
        const supernet = startSupernet(laboratory, { genes, cost, budget: laboratory.budget });
        const { judge } = judgeOf(laboratory, supernet, { measures: false, narrowing });
        const losses = new Set<number>();
        for (const choice of [0, 1, 2]) {
          const both = policyOf(
            genes,
            genes.map((gene) => Math.min(choice, gene.length - 1)),
          );
          const { loss } = await judge(both);
          const { filters } = narrowing.decided(both);
          expect(loss).toBeCloseTo(await lossOfNarrow(laboratory, filters), 4);
          losses.add(loss);
        }
        expect(losses.size).toBe(3);
        return { policy: {} };
      },
    },
  });
});

test("finds bits and channels within the budget, and hands on a network that has them", async () => {
  const { search, filters, tensors } = await searchToy(sposChannels);
  const lines = search?.trace ?? [];
  expect(lines.length).toBeGreaterThan(5);
  for (const { cost } of lines) expect(cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
  expect(new Set(lines.map((line) => JSON.stringify(line.filters))).size).toBeGreaterThan(3);
  const best = lines.toSorted((a, b) => b.accuracy - a.accuracy || (a.loss ?? 0) - (b.loss ?? 0));
  expect(best[0]?.filters).toEqual(filters);
  for (const [name, count] of Object.entries(filters ?? {}))
    expect(tensors[`${name}/kernel`]?.shape.at(-1)).toBe(count);
});
