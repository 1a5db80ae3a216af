import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import type { QuantizerSite, SeenWeights } from "../../algorithms/algorithm.js";
import { agentEpisodes } from "../../algorithms/haq.js";
import { haqKMeans } from "../../algorithms/haqKMeans.js";
import {
  averaged,
  lloyd,
  quantileCentroids,
  shared,
  spreadCentroids,
} from "../../algorithms/search/clusters.js";
import { clusteredWeight, followWeights } from "../../algorithms/search/clusteredWeight.js";
import { SYMMETRIC_PER_TENSOR } from "../../backends/scheme.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

beforeAll(() => tf.setBackend("cpu"));

const random = (name: string) => randomStream(0, name);
const drawn = (count: number, name: string) => {
  const numbers = random(name);
  return Float32Array.from({ length: count }, () => numbers.uniform() + numbers.uniform() - 1);
};

/** Lloyd's iterations as the textbook has them, every value with every centroid. */
function textbook(values: Float32Array, centroids: Float64Array, iterations: number): number[] {
  let current = [...centroids];
  for (let i = 0; i < iterations; i++) {
    const nearest = [...values].map((value) => {
      const gaps = current.map((c) => Math.abs(c - value));
      return gaps.indexOf(Math.min(...gaps));
    });
    current = current.map((centroid, k) => {
      const own = [...values].filter((_, at) => nearest[at] === k);
      return own.length > 0 ? own.reduce((a, b) => a + b, 0) / own.length : centroid;
    });
  }
  return current;
}

describe("clusters of weights", () => {
  const values = drawn(300, "values");

  test("are those of Lloyd's iterations", () => {
    const start = spreadCentroids(values, 8, random("start"));
    for (const iterations of [1, 3, 50]) {
      const { levels } = lloyd(values, start, iterations);
      // The levels are the means of the last clusters, one iteration further.
      textbook(values, start, iterations + 1).forEach((centroid, k) => {
        expect(levels[k]).toBeCloseTo(centroid, 6);
      });
    }
  });

  test("start at values of which none is taken twice, far from each other", () => {
    const start = spreadCentroids(values, 16, random("spread"));
    expect(new Set(start).size).toBe(16);
    for (const centroid of start) expect(values).toContain(centroid);
    // One value far away is a centroid nearly always, since its squared distance is nearly all of the sum.
    const outlier = Float32Array.from([...values, 1000]);
    for (let i = 0; i < 20; i++)
      expect(spreadCentroids(outlier, 2, random(`far ${String(i)}`))).toContain(1000);
    expect(spreadCentroids(new Float32Array(5).fill(0.5), 4, random("same"))).toEqual(
      Float64Array.of(0.5, 0.5, 0.5, 0.5),
    );
  });

  test("or start in the middle of equally many values each", () => {
    expect([...quantileCentroids([8, 1, 5, 4, 9, 2, 7, 3, 6], 3)]).toEqual([2, 5, 8]);
    expect([...quantileCentroids([1, 1, 1, 1, 1, 1, 10], 1)]).toEqual([1]);
  });

  test("stay clusters where they overtake each other, with levels that rise", () => {
    const moved = averaged([3, 3, 1, 1, 2], {
      levels: Float32Array.of(0, 1, 9),
      labels: Int32Array.of(0, 0, 1, 1, 2),
    });
    expect([...moved.levels]).toEqual([1, 2, 3]);
    expect([...shared(moved)]).toEqual([3, 3, 1, 1, 2]);
  });
});

const siteOf = (bitWidth: number): QuantizerSite => ({
  ...{ id: "w", role: "weight", shape: [40], channelAxis: 0 },
  ...{ scheme: { ...SYMMETRIC_PER_TENSOR, bitWidth }, nonNegative: false, multiplications: 0 },
});

describe("a layer of clusters in training", () => {
  const weights = drawn(40, "weights");
  const gradient = drawn(40, "gradient");
  const startAt = (bits: number) => {
    const kernel = { shape: [40], data: weights };
    const values = clusteredWeight.initialize([{ kernel }], siteOf(bits));
    return Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, data]));
  };
  const seen = (site: QuantizerSite, data: Float32Array, values: Record<string, Float32Array>) =>
    new Map([[site, { weights: data, values }]]) satisfies SeenWeights;

  test("each cluster moves by the mean of its gradients, and no weight leaves it", () => {
    const site = siteOf(3);
    const values = startAt(3);
    const moved = weights.map((w, i) => w - 0.1 * (gradient[i] ?? NaN));
    const after = followWeights(0.5, seen(site, moved, values))?.get(site);
    const [labels, levels] = [after?.["labels"]?.data, after?.["levels"]?.data];
    const old = [...(values["labels"] ?? [])];
    for (const [k, level] of [...(values["levels"] ?? [])].entries()) {
      const own = old.flatMap((label, i) => (label === k ? [i] : []));
      const mean = own.reduce((sum, i) => sum + (gradient[i] ?? NaN), 0) / own.length;
      for (const i of own) expect(levels?.[labels?.[i] ?? NaN]).toBeCloseTo(level - 0.1 * mean, 5);
    }
  });

  test("from 7 bits on weights train alone, and end in clusters", () => {
    const site = siteOf(7);
    const values = startAt(7);
    expect(values["free"]).toEqual(Float32Array.of(1));
    expect(followWeights(0.5, seen(site, weights, values))?.size).toBe(0);
    const last = followWeights(1, seen(site, weights, values))?.get(site);
    expect(last?.["free"]?.data).toEqual(Float32Array.of(0));
    // 40 weights have room in 128 levels.
    const [labels, levels] = [last?.["labels"]?.data, last?.["levels"]?.data];
    weights.forEach((w, i) => {
      expect(levels?.[labels?.[i] ?? NaN]).toBeCloseTo(w, 2);
    });
  });

  test("every weight gets its gradient as it is", () => {
    const { levels, labels } = startAt(2);
    const state = {
      levels: tf.tensor1d([...(levels ?? [])]),
      labels: tf.tensor1d([...(labels ?? [])]),
    };
    const slopes = tf.grad((w) =>
      tf.sum(tf.mul(clusteredWeight.fakeQuantize(w, state, siteOf(2)), tf.tensor1d(gradient))),
    )(tf.tensor1d(weights));
    expect(slopes.dataSync()).toEqual(gradient);
  });
});

describe("HAQ for size", () => {
  test("decides bits of weights alone, from 1 to 8, within the budget, and the seed decides all", async () => {
    const { deaths: none, ...whole } = await searchToy(haqKMeans, { bits: 3 });
    expect(none).toBe(0);
    expect(whole.search?.trace.length).toBe(13);
    const bits = (whole.search?.trace ?? []).flatMap(({ policy, cost }) => {
      expect(cost).toBeLessThanOrEqual(whole.search?.budget.allowed ?? 0);
      return Object.entries(policy).map(([id, width]) => {
        expect(id).toMatch(/kernel$/);
        return width;
      });
    });
    expect(Math.min(...bits)).toBe(1);
    expect(Math.max(...bits)).toBeGreaterThan(4);
    const { deaths, ...killed } = await searchToy(haqKMeans, { bits: 3, killed: 0.2 });
    expect(deaths).toBeGreaterThanOrEqual(10);
    expect(killed).toEqual(whole);
    for (const { id, role, scheme } of whole.sites) {
      if (role !== "weight") continue;
      expect(whole.tensors[`${id}:levels`]?.data).toHaveLength(2 ** scheme.bitWidth);
      const labels = whole.tensors[`${id}:labels`]?.data ?? [];
      expect(Math.max(...labels)).toBeLessThan(2 ** scheme.bitWidth);
    }
  });

  test("the agent sees a layer's eight features and the bits that it decided before", async () => {
    const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
    const { laboratory } = syntheticLaboratory(network, haqKMeans.search, {
      ...{ accuracy: () => 0.5, visits: 2 },
    });
    const seen: number[] = [];
    await agentEpisodes(laboratory, (previous) => {
      seen.push(previous);
      return [previous];
    });
    const { length } = laboratory.free;
    expect(laboratory.free.every(({ role }) => role === "weight")).toBe(true);
    expect(seen).toHaveLength(1 + 2 * length);
    expect([seen[0], seen[1], seen[1 + length]]).toEqual([4, 4, 4]);
    expect(seen.slice(2, 1 + length).every((bits) => Number.isInteger(bits) && bits >= 1)).toBe(
      true,
    );
  });
});
