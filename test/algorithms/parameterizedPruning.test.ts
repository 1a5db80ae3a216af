import { describe, expect, test } from "vitest";
import type { Laboratory } from "../../algorithms/laboratory.js";
import { parameterizedPruning } from "../../algorithms/parameterizedPruning.js";
import { searchToy } from "../searching.js";

describe("parameterized structured pruning", () => {
  test("lets go what all that read it have the smallest weights for, and keeps the rest as it is", async () => {
    const seen: { before?: number[]; after?: number[] } = {};
    await searchToy({
      ...parameterizedPruning,
      search: {
        ...parameterizedPruning.search,
        mayExceed: true,
        run: async (laboratory) => {
          // Of what s1.0.b reads, the third channel has weights of a thousandth.
          const name = "s1.0.b/kernel";
          const kernel = laboratory.parameters[name];
          if (kernel === undefined) throw new Error("there is no kernel");
          const [inputs = 1, outputs = 1] = kernel.shape.slice(2);
          const channel = (i: number) => Math.floor(i / outputs) % inputs;
          const data = kernel.data.map((value, i) => (channel(i) === 2 ? value / 1000 : value));
          const parameters = { ...laboratory.parameters, [name]: { ...kernel, data } };
          const unit = { unit: "parameters" } as const;
          const found = await parameterizedPruning.search.run({
            ...{ ...laboratory, parameters },
            // No visits for training, and a budget that one channel less fits.
            visits: { allowed: 24, used: 0 },
            limits: [{ unit, allowed: laboratory.cost({}, unit) - 1 }],
          } satisfies Laboratory);
          expect(found.filters?.["s1.0.a"]).toBe(inputs - 1);
          seen.before = [...data].filter((_, i) => channel(i) !== 2);
          seen.after = [...(found.tensors?.[name]?.data ?? [])];
          return { policy: {} };
        },
      },
    });
    // Divided by a parameter and multiplied with it again.
    expect(seen.after?.length).toBe(seen.before?.length);
    seen.after?.forEach((value, i) => {
      expect(value).toBeCloseTo(seen.before?.[i] ?? NaN, 6);
    });
  });
});
