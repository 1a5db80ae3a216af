import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../algorithms/algorithm.js";
import { nasa } from "../../algorithms/nasa.js";
import {
  activated,
  adapted,
  byLogits,
  costsOf,
  derived,
  firstChoice,
  stepped,
  type OperatorChoice,
} from "../../algorithms/search/operatorChoices.js";
import { softmax } from "../../algorithms/search/widthChoices.js";
import { academic } from "../../backends/academic.js";
import { isCodebook, freeze } from "../../pipelines/freeze/index.js";
import { asDeployed, placeQuantizers, withOperators } from "../../pipelines/network/index.js";
import { quantize } from "../../pipelines/quantize/index.js";
import { accuracyOf, evaluate } from "../../pipelines/train/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import { deployedLogits } from "../support.js";
import {
  checkpoint,
  dataset,
  engine,
  floatNetwork,
  hyperparameters as short,
} from "../pipelines/quantize/toyNetwork.js";

const KINDS = ["convolution", "shift", "adder"] as const;

test("two operators are active, with parts that add up to 1, the preferred ones more often", () => {
  const choice = { ...firstChoice(KINDS), logits: [2, 0, 0] };
  const random = randomStream(3, "active");
  const counts = [0, 0, 0];
  for (let i = 0; i < 3000; i++) {
    const { places, parts } = activated(choice, 5, random);
    expect(places).toHaveLength(2);
    expect(new Set(places).size).toBe(2);
    expect((parts[0] ?? NaN) + (parts[1] ?? NaN)).toBeCloseTo(1, 12);
    for (const place of places) counts[place] = (counts[place] ?? 0) + 1;
  }
  // Left out, if both others come first: e0 / (e2 + e0 + e0) e0 / (e2 + e0), twice.
  const [strong, weak] = [Math.exp(2), 1];
  const without = (2 * weak * weak) / (strong + 2 * weak) / (strong + weak);
  expect((counts[0] ?? 0) / 3000).toBeCloseTo(1 - without, 1);
  expect(Math.abs((counts[1] ?? 0) - (counts[2] ?? 0))).toBeLessThan(200);
});

test("the gradient by logits is that of the softmax at the temperature", () => {
  const byParts = [0.7, -0.4];
  const loss = (logits: readonly number[], temperature: number) =>
    softmax(logits.map((logit) => logit / temperature)).reduce(
      (sum, part, i) => sum + part * (byParts[i] ?? NaN),
      0,
    );
  for (const temperature of [5, 0.7]) {
    const logits = [0.3, -0.2];
    const parts = softmax(logits.map((logit) => logit / temperature));
    const gradient = byLogits({ places: [0, 1], parts }, byParts, temperature);
    logits.forEach((_, i) => {
      const moved = (by: number) => logits.map((logit, j) => (i === j ? logit + by : logit));
      const slope = (loss(moved(1e-5), temperature) - loss(moved(-1e-5), temperature)) / 2e-5;
      expect(gradient[i]).toBeCloseTo(slope, 8);
    });
  }
});

test("P4: a step leaves the softmax of operators that were not active as it was", () => {
  const random = randomStream(5, "steps");
  let choice: OperatorChoice = firstChoice(KINDS);
  for (let i = 0; i < 200; i++) {
    const active = activated(choice, 5, random);
    const gradient = active.places.map(() => random.uniform() - 0.5);
    const next = stepped(choice, active, { gradient, rate: 0.05 });
    const [before, after] = [softmax(choice.logits), softmax(next.logits)];
    before.forEach((chance, place) => {
      if (active.places.includes(place)) return;
      expect(Math.abs(chance - (after[place] ?? NaN))).toBeLessThan(1e-6);
      expect(next.logits[place]).toBe(choice.logits[place]);
    });
    expect(next.logits).not.toEqual(choice.logits);
    choice = next;
  }
});

test("P5: the more the cost weighs, the less the derived network costs", () => {
  // Each layer loses another amount of accuracy by what is cheaper.
  const layers = Array.from({ length: 12 }, (_, i) => ({
    share: 1 / 12,
    losses: [0, 0.004 * (i + 1), 0.003 * (12 - i)],
  }));
  const costAt = (weight: number) => {
    const random = randomStream(7, "landscape");
    return layers.reduce((sum, { share, losses }) => {
      let choice: OperatorChoice = firstChoice(KINDS);
      for (let i = 0; i < 300; i++) {
        const active = activated(choice, 2, random);
        const costs = costsOf(choice, active, share);
        const byParts = active.places.map(
          (place, j) => (losses[place] ?? NaN) + weight * (costs[j] ?? NaN),
        );
        const gradient = byLogits(active, byParts, 2);
        choice = stepped(choice, active, { gradient, rate: 0.05 });
      }
      const place = KINDS.indexOf(derived(choice));
      return sum + (costsOf(choice, { places: [place], parts: [1] }, share)[0] ?? NaN);
    }, 0);
  };
  const costs = [0, 0.1, 1].map(costAt);
  expect(costs[0]).toBeCloseTo(1, 6);
  expect(costs[1]).toBeLessThan(costs[0] ?? NaN);
  expect(costs[2]).toBeLessThan(costs[1] ?? NaN);
  expect(costs[2]).toBeLessThan(0.2);
});

test("the weight of the cost follows what the derived network costs", () => {
  const range = { least: 0.4, most: 0.5 };
  expect([0.39, 0.4, 0.45, 0.5, 0.51].map((cost) => adapted(1, cost, range))).toEqual([
    0.5, 1, 1, 1, 2,
  ]);
});

const bits = { weights: 8, activations: 8 };
const VISITS = 30 * (10 * 8 + 6 * 8) * 1;
const hyperparameters = {
  ...short,
  search: { visits: VISITS, heldOut: 8, fineTuning: { steps: 1, learningRate: 0.01 } },
};

/** A search and the training of what it found. */
async function found(algorithm: Algorithm) {
  const quantized = placeQuantizers(floatNetwork, academic, bits);
  const result = await quantize(engine, {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, quantized, dataset },
    ...{ batchNorm: -1, hyperparameters, seed: 0 },
  });
  const { operators = {} } = result;
  return { ...result, operators, quantized: withOperators(quantized, operators) };
}

describe("operators of a network", () => {
  test("are searched, and what is found is trained, frozen and deployed", async () => {
    const { operators, search, tensors, quantized } = await found(nasa);
    expect(Object.keys(operators)).toEqual([
      "s0.0.a",
      "s0.0.b",
      "s1.0.a",
      "s1.0.b",
      "s1.0.d",
      "s2.0.a",
      "s2.0.b",
      "s2.0.d",
    ]);
    expect(search?.visits.used).toBeLessThanOrEqual(VISITS);
    expect(search?.visits.used).toBeGreaterThan(0.9 * VISITS);
    expect(search?.trace).toHaveLength(6);
    const frozen = await freeze(engine, quantized, { algorithm: nasa, tensors });
    for (const [layer, kind] of Object.entries(operators)) {
      const on = frozen.weights.get(`${layer}/kernel`)?.on;
      expect(on !== undefined && isCodebook(on)).toBe(kind === "shift");
      expect(on === frozen.activations.get(`${layer}/input`)).toBe(kind === "adder");
    }
    const simulated = await evaluate(engine, quantized.network, {
      ...{ tensors, dataset },
      mode: (current) => asDeployed(nasa, quantized, current),
    });
    const deployed = await deployedLogits(exportOnnx(frozen, "net"), dataset, "inFloat");
    deployed.forEach((logit, i) => {
      expect(Math.abs(logit - (simulated[i] ?? NaN))).toBeLessThan(0.5);
    });
  });

  test.each(["convolution", "shift", "adder", "random"] as const)(
    "are all %s in a control with as many visits",
    async (given) => {
      const { operators, search, tensors, quantized } = await found({
        ...nasa,
        ...nasa.atOperators(given),
      });
      const kinds = new Set(Object.values(operators));
      if (given === "random") expect(kinds.size).toBeGreaterThan(1);
      else expect([...kinds]).toEqual([given]);
      expect(search?.visits.used).toBeGreaterThan(0.9 * VISITS);
      // Only the stem and the classifier multiply, but for convolutions.
      const share = (search?.cost ?? NaN) / (2 * (search?.budget.allowed ?? NaN));
      if (given === "convolution") expect(share).toBeCloseTo(1, 6);
      else expect(share).toBeLessThan(given === "shift" ? 0.25 : given === "adder" ? 0.3 : 0.9);
      const simulated = await evaluate(engine, quantized.network, {
        ...{ tensors, dataset },
        mode: (current) => asDeployed(nasa, quantized, current),
      });
      expect(accuracyOf(simulated, dataset)).toBeGreaterThan(0.4);
    },
  );
});
