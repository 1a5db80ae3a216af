import { expect, test } from "vitest";
import { cheapestHarm, type Choice } from "../../../algorithms/search/knapsack.js";
import { randomStream } from "../../../pipelines/engine/index.js";

test("the choice within a budget is the best of all", () => {
  const random = randomStream(3, "knapsack");
  for (let round = 0; round < 30; round++) {
    const choices: Choice[][] = Array.from({ length: 5 }, () => {
      const size = 1 + random.integer(9);
      return [2, 4, 8].map((bitWidth) => ({
        bitWidth,
        cost: size * bitWidth,
        harm: random.uniform() / bitWidth,
      }));
    });
    const total = (list: readonly Choice[], key: "cost" | "harm") =>
      list.reduce((sum, choice) => sum + choice[key], 0);
    const budget = total(
      choices.map((options) => options[1] as Choice),
      "cost",
    );
    const all = choices.reduce<Choice[][]>(
      (combinations, options) =>
        combinations.flatMap((chosen) => options.map((option) => [...chosen, option])),
      [[]],
    );
    const best = Math.min(
      ...all.filter((list) => total(list, "cost") <= budget).map((list) => total(list, "harm")),
    );
    const found = cheapestHarm(choices, budget);
    expect(total(found, "harm")).toBeCloseTo(best, 12);
    expect(total(found, "cost")).toBeLessThanOrEqual(budget);
  }
  expect(() => cheapestHarm([[{ bitWidth: 2, cost: 5, harm: 1 }]], 4)).toThrow(/budget of 4/);
});
