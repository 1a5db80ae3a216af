import { describe, expect, test } from "vitest";
import { bitsOf, decisionsOf, haq } from "../../algorithms/haq.js";
import type { BudgetUnit, Policy } from "../../algorithms/laboratory.js";
import {
  actionOf,
  createAgent,
  learn,
  truncatedNormal,
  type Transition,
} from "../../algorithms/search/ddpg.js";
import { activate, perceptron, propagate, zerosLike } from "../../algorithms/search/perceptron.js";
import { startAdam, stepAdam } from "../../algorithms/search/perceptron.js";
import { mobileNetV2, resnet8 } from "../../benchmarks/models/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { searchToy } from "../searching.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
const random = (name: string) => randomStream(0, name);

describe("P1, P6: on a network", () => {
  test("every policy is within the budget, its ends keep 8 bits, and the seed decides all", async () => {
    const first = await searchToy(haq);
    const { search, sites } = first;
    expect(search?.trace.length).toBe(13);
    for (const { cost, policy } of search?.trace ?? []) {
      expect(cost).toBeLessThanOrEqual(search?.budget.allowed ?? 0);
      expect(Object.keys(policy)).not.toContain("stem/kernel");
      for (const bits of Object.values(policy)) expect([2, 3, 4, 5, 6, 7, 8]).toContain(bits);
    }
    for (const id of ["stem/kernel", "classifier/kernel"])
      expect(sites.find((site) => site.id === id)?.scheme.bitWidth).toBe(8);
    const { deaths, ...killed } = await searchToy(haq, { killed: 0.2 });
    expect(deaths).toBeGreaterThanOrEqual(10);
    expect({ ...killed, deaths: 0 }).toEqual(first);
    const other = await searchToy(haq, { seed: 1 });
    expect(other.search?.trace).not.toEqual(search?.trace);
  });
});

describe("P2: cycles and energy", () => {
  const units: readonly BudgetUnit[] = [
    { unit: "cycles", on: "bitSerialEdge" },
    { unit: "cycles", on: "bitSerialCloud" },
    { unit: "cycles", on: "bitFusion" },
    { unit: "picojoules", on: "bitFusion" },
  ];
  test.each(units)("never fall as bits rise: %o", (budget) => {
    const { laboratory } = syntheticLaboratory(network, haq.search, {
      ...{ budget, accuracy: () => 0, visits: 1 },
    });
    for (const { id } of laboratory.free) {
      const costs = [2, 3, 4, 5, 6, 7, 8].map((bits) => laboratory.cost({ [id]: bits }));
      expect(costs).toEqual(costs.toSorted((a, b) => a - b));
    }
  });
});

describe("P3: an action", () => {
  const widths = [2, 3, 4, 5, 6, 7, 8];
  test("0 is the narrowest, 1 the widest, and all are equally likely", () => {
    expect(bitsOf(0, widths)).toBe(2);
    expect(bitsOf(1, widths)).toBe(8);
    const counts = new Map<number, number>();
    const numbers = random("actions");
    for (let i = 0; i < 1e5; i++) {
      const bits = bitsOf(numbers.uniform(), widths);
      counts.set(bits, (counts.get(bits) ?? 0) + 1);
    }
    for (const width of widths)
      expect(Math.abs(((counts.get(width) ?? 0) / 1e5) * 7 - 1)).toBeLessThan(0.02);
  });

  test("explores around the actor's, within [0, 1]", () => {
    const numbers = random("noise");
    const drawn = Array.from({ length: 1e4 }, () => truncatedNormal(0.9, 0.5, numbers));
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(1);
    // 0.9 + 0.5 (f(-1.8) - f(0.2)) / (F(0.2) - F(-1.8)), of the normal density and distribution.
    const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
    expect(mean).toBeCloseTo(0.9 + (0.5 * (0.07895 - 0.39104)) / (0.57926 - 0.03593), 2);
  });
});

test("decisions go layer by layer, weights first, features scaled over the layers", () => {
  const { laboratory } = syntheticLaboratory(network, haq.search, {
    ...{ accuracy: () => 0, visits: 1 },
  });
  const decisions = decisionsOf(laboratory);
  expect(new Set(decisions.map(({ site }) => site)).size).toBe(decisions.length);
  expect(decisions.map(({ site }) => site).sort()).toEqual(
    laboratory.free.map(({ id }) => id).sort(),
  );
  expect(decisions[0]).toMatchObject({ role: "weight" });
  expect(decisions[1]).toMatchObject({ role: "activation" });
  const last = decisions.at(-1);
  // The last searched layer has 32 filters, the most of all; windows of 1 and 3, strides of 0 (dense) to 2.
  for (const { features } of decisions) {
    expect(features).toHaveLength(8);
    expect(Math.min(...features)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...features)).toBeLessThanOrEqual(1);
  }
  expect(last?.features[2]).toBe(1);
});

describe("the agent", () => {
  test("its gradients are those of finite differences", () => {
    const net = perceptron([3, 5, 4, 1], random("net"));
    const input = Float64Array.of(0.3, -0.7, 1.1);
    const output = () => activate(net, input).output[0] ?? NaN;
    const sums = zerosLike(net);
    const slopes = propagate(net, activate(net, input), Float64Array.of(1), sums);
    const difference = (values: Float64Array, i: number): number => {
      const old = values[i] ?? NaN;
      values[i] = old + 1e-6;
      const above = output();
      values[i] = old - 1e-6;
      const below = output();
      values[i] = old;
      return (above - below) / 2e-6;
    };
    slopes.forEach((slope, i) => {
      expect(slope).toBeCloseTo(difference(input, i), 6);
    });
    net.forEach((layer, i) => {
      for (const part of ["weights", "bias"] as const)
        layer[part].forEach((_, j) => {
          expect(sums[i]?.[part][j]).toBeCloseTo(difference(layer[part], j), 6);
        });
    });
  });

  test("Adam moves by its rate at first, then by the moments of its gradients", () => {
    const net = [{ inputs: 1, outputs: 1, weights: Float64Array.of(1), bias: Float64Array.of(0) }];
    const gradient = (g: number) => [
      { inputs: 1, outputs: 1, weights: Float64Array.of(g), bias: Float64Array.of(0) },
    ];
    let adam = startAdam(net);
    adam = stepAdam(net, adam, { gradients: gradient(2), rate: 0.1 });
    expect(net[0]?.weights[0]).toBeCloseTo(1 - 0.1, 7);
    stepAdam(net, adam, { gradients: gradient(-1), rate: 0.1 });
    // m = 0.9 * 0.2 - 0.1, v = 0.999 * 0.004 + 0.001; divided by 0.19 and 0.001999.
    const step = (0.1 * (0.08 / 0.19)) / Math.sqrt(0.004996 / 0.001999);
    expect(net[0]?.weights[0]).toBeCloseTo(0.9 - step, 7);
  });

  test("compares rewards with a mean that moves half of the way", () => {
    const state = Float64Array.of(0.5);
    const transition = (reward: number): Transition => ({
      ...{ state, action: 0.5, reward, next: state, isLast: true },
    });
    const fresh = createAgent(1, random("agent"));
    const once = learn(fresh, [transition(1), transition(3)]);
    expect(once.baseline).toBe(2);
    expect(learn(once, [transition(4)]).baseline).toBe(3);
  });

  test("learns which action is rewarded", () => {
    const numbers = random("bandit");
    const state = Float64Array.of(1, 0.5);
    const memory = Array.from({ length: 256 }, (): Transition => {
      const action = numbers.uniform();
      return { state, action, reward: -((action - 0.8) ** 2), next: state, isLast: true };
    });
    let agent = createAgent(2, random("agent"));
    const before = Math.abs(actionOf(agent.actor, state) - 0.8);
    for (let i = 0; i < 1500; i++) {
      const batch = Array.from({ length: 32 }, () => memory[numbers.integer(256)] as Transition);
      agent = learn(agent, batch);
    }
    expect(Math.abs(actionOf(agent.actor, state) - 0.8)).toBeLessThan(before / 2);
  });
});

/** Half a point is lost with each bit of the first stage, next to nothing elsewhere. */
const sensitiveStart = (policy: Policy): number =>
  Object.entries(policy).reduce(
    (sum, [id, bits]) => sum - (8 - bits) * (id.startsWith("s0") ? 0.005 : 0.0005),
    0.9,
  );

test("P5: the best policy is no worse than those of the warm-up, and than uniform bits at equal cost", async () => {
  for (const seed of [0, 1, 2]) {
    const options = { accuracy: sensitiveStart, visits: 30, seed };
    const own = syntheticLaboratory(network, haq.search, options);
    const { policy } = await haq.search.run(own.laboratory);
    const found = sensitiveStart(policy);
    const warm = Math.max(...own.tried.slice(0, 5).map(({ accuracy }) => accuracy));
    expect(found).toBeGreaterThanOrEqual(warm);
    const uniform = Object.fromEntries(own.laboratory.free.map(({ id }) => [id, 5]));
    expect(found).toBeGreaterThanOrEqual(sensitiveStart(uniform));
  }
});

test("P7: dense layers are cheaper with narrow weights, depthwise ones with narrow activations", () => {
  const mobile = mobileNetV2.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
  const { laboratory } = syntheticLaboratory(mobile, haq.search, {
    ...{ accuracy: () => 0, visits: 1, bits: 8 },
    budget: { unit: "cycles", on: "bitSerialCloud" },
  });
  const { cost, layers, budget } = laboratory;
  // On the smallest images reading the weights takes as long.
  const depthwise = layers.filter(
    ({ work }) => work.kind === "depthwise" && work.outputPixels > 16,
  );
  expect(depthwise.length).toBeGreaterThan(5);
  for (const { weights, input = "" } of depthwise) {
    expect(cost({ [input]: 4 })).toBeLessThan(budget);
    expect(cost({ [weights]: 4 })).toBe(budget);
  }
  const dense = layers.find(({ work }) => work.kind === "dense");
  const own = (policy: Policy) => budget - cost(policy);
  expect(own({ [dense?.weights ?? ""]: 4 })).toBeGreaterThan(own({ [dense?.input ?? ""]: 4 }));
});
