import { beforeAll, expect, test } from "vitest";
import {
  type Cell,
  cellsOfShard,
  loadMatrix,
  planCells,
} from "../../../benchmarks/planning/index.js";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import type { Dataset } from "../../../pipelines/train/index.js";

let cells: Cell[] = [];
let dataset: Dataset;
beforeAll(async () => {
  const smoke = await loadMatrix("smoke");
  const bits = [8, 4, 3].map((width) => ({ weights: width, activations: width }));
  const block = { algorithms: ["minMax", "lsq"], backends: ["academic", "tensorrt", "snpe"], bits };
  const matrix = { ...smoke, cells: [block], seeds: 3 };
  dataset = await loadDataset(matrix.dataset, "", matrix.hyperparameters);
  cells = await planCells(matrix, dataset, await loadEngine("portable"));
});
const shards = (of: number, planned: readonly Cell[] = cells) =>
  Array.from({ length: of }, (_, i) => cellsOfShard(planned, dataset, { index: i + 1, of }));
const ids = (part: readonly Cell[]) => part.map(({ id }) => id);

test.each([1, 2, 3, 7, 100])("%i parts have every cell once, in its order", (of) => {
  const parts = shards(of);
  expect(ids(parts.flat()).toSorted()).toEqual(ids(cells).toSorted());
  for (const part of parts) {
    const chosen = new Set(ids(part));
    expect(ids(part)).toEqual(ids(cells).filter((id) => chosen.has(id)));
  }
});

test("cells of one quantized training stay together", () => {
  const homes = new Map<string, number>();
  shards(7).forEach((part, i) => {
    for (const { trainingKey } of part) {
      expect(homes.get(trainingKey) ?? i).toBe(i);
      homes.set(trainingKey, i);
    }
  });
});

test("parts take about as long as each other", () => {
  const parts = shards(3);
  const costs = parts.map((part) => part.reduce((sum, { cost }) => sum + cost, 0));
  expect(Math.max(...costs)).toBeLessThan(1.2 * Math.min(...costs));
});

test("the order of planning does not matter for which cells are in a part", () => {
  const reversed = shards(4, cells.toReversed());
  expect(reversed.map((part) => ids(part).toSorted())).toEqual(
    shards(4).map((part) => ids(part).toSorted()),
  );
});
