import { describe, expect, test } from "vitest";
import { nce } from "../../../algorithms/nce.js";
import {
  costByWidths,
  costPull,
  expectedCost,
  fittingWidths,
  limitTerms,
} from "../../../algorithms/search/widthCost.js";
import {
  filtersOf,
  firstChoices,
  moved,
  nameOf,
  preferred,
  type AllChoices,
} from "../../../algorithms/search/widthChoices.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import { syntheticLaboratory } from "../syntheticLaboratory.js";

const model = { inputShape: [28, 28, 1], classes: 10, width: 8 };
const laboratoryOf = (network = resnet8.build(model)) =>
  syntheticLaboratory(network, nce.search, { accuracy: () => 0, visits: 1 }).laboratory;

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
