import { expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import type { Search } from "../../../algorithms/laboratory.js";
import { slimming } from "../../../algorithms/slimming.js";
import { sposChannels } from "../../../algorithms/sposChannels.js";
import { uniformWidth } from "../../../algorithms/uniformWidth.js";
import type { QuantizedNetwork } from "../../../pipelines/network/index.js";
import { Notebook, type SearchState } from "../../../pipelines/quantize/search/notebook.js";
import { hyperparameters, searchToy } from "../../searching.js";

const within = (algorithm: Algorithm & { readonly search: Search }, share: number): Algorithm => ({
  ...algorithm,
  search: { ...algorithm.search, budget: { unit: "microseconds", on: "onnxruntime", share } },
});

/** A machine that computes channels by fours, so that a fifth channel costs as much as an eighth. */
const byFours = ({ network }: QuantizedNetwork): number =>
  network.nodes.reduce(
    (sum, node) => sum + (node.op === "conv2d" ? 4 * Math.ceil(node.filters / 4) : 0),
    0,
  );
const ALL = 4 + 4 + 4 + 8 + 8 + 8 + 16 + 16 + 16;

const longer = { ...hyperparameters.search, visits: 6000 };

test.each([uniformWidth, slimming, sposChannels])(
  "what $name finds takes no longer than the clock allows",
  async (algorithm) => {
    const { search } = await searchToy(within(algorithm, 0.7), {
      clock: byFours,
      hyperparameters: { ...hyperparameters, search: longer },
    });
    expect(search?.budget).toEqual({
      ...{ unit: "microseconds", on: "onnxruntime", share: 0.7 },
      allowed: 0.7 * ALL,
    });
    expect(search?.cost).toBeLessThanOrEqual(0.7 * ALL);
    expect(search?.cost).toBeGreaterThan(0);
    expect((search?.cost ?? NaN) % 4).toBe(0);
  },
);

test("without a clock there is no such budget", async () => {
  await expect(searchToy(within(uniformWidth, 0.7))).rejects.toThrow(/nothing to measure with/);
});

test("what was measured once is not measured again, not even by a search that goes on", async () => {
  let [kept, asked] = [undefined as SearchState | undefined, 0];
  const noisy = () => 100 + asked++;
  const open = (found?: SearchState) =>
    new Notebook(
      100,
      {
        found,
        keep(state) {
          kept = state();
          return Promise.resolve();
        },
      },
      () => undefined,
    );
  const first = open();
  expect([first.once("a", noisy), first.once("b", noisy), first.once("a", noisy)]).toEqual([
    ...[100, 101, 100],
  ]);
  await first.rounds("r", () => 0, { most: 1, round: (state) => Promise.resolve(state + 1) });
  const second = open(kept);
  expect([second.once("b", noisy), second.once("a", noisy), second.once("c", noisy)]).toEqual([
    ...[101, 100, 102],
  ]);
});
