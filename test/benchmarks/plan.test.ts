import { describe, expect, test } from "vitest";
import { loadMatrix } from "../../benchmarks/matrix.js";
import { loadDataset, planCells, type Cell } from "../../benchmarks/plan.js";
import { makeJobs, type Plan } from "../../benchmarks/run.js";
import { loadEngine } from "../../pipelines/engine/index.js";

const matrix = await loadMatrix("smoke");
const dataset = await loadDataset(matrix.dataset, "", matrix.hyperparameters);
const engine = await loadEngine("auto");
const plan = (changes: Partial<typeof matrix> = {}) =>
  planCells({ ...matrix, ...changes }, dataset, engine);
const jobs = (cells: readonly Cell[]) =>
  makeJobs(
    {
      matrix,
      dataset,
      engine: engine.name,
      dataDirectory: "",
      cells,
      allCells: cells,
    } satisfies Plan,
    cells,
    "",
  );

describe("a cell's id", () => {
  test("is the same for the same configuration, and another for any change", () => {
    const ids = (cells: readonly Cell[]) => cells.map(({ id }) => id);
    expect(ids(plan())).toEqual(ids(plan()));
    const hyperparameters = { ...matrix.hyperparameters, weightDecay: 0.5 };
    const all = [
      ...plan(),
      ...plan({ hyperparameters }),
      ...plan({ models: [{ name: "resnet8", width: 5 }] }),
    ];
    expect(new Set(ids(all)).size).toBe(12);
  });

  test("is there once when blocks of a matrix overlap", () => {
    expect(plan({ cells: [...matrix.cells, ...matrix.cells] })).toHaveLength(4);
  });
});

test("a float training is shared by everything but model, seed and its own settings", () => {
  const keys = (cells: readonly Cell[]) => new Set(cells.map(({ pretrainKey }) => pretrainKey));
  const quantizedTraining = { epochs: 9, learningRate: 0.5 };
  const other = plan({ hyperparameters: { ...matrix.hyperparameters, quantizedTraining } });
  expect(keys([...plan(), ...other]).size).toBe(1);
  expect(keys(plan({ seeds: 3 })).size).toBe(3);
});

test("cells with the same effective quantization are one job, after their float training", () => {
  const cells = plan();
  const [first, second] = cells;
  if (!first || !second) throw new Error("the smoke matrix has no cells");
  const twin = { ...second, trainingKey: first.trainingKey };
  const [pretrain, ...rest] = jobs([first, twin, ...cells.slice(2)]);
  expect(pretrain?.kind).toBe("pretrain");
  expect(rest.map((job) => job.cells.length).sort()).toEqual([1, 1, 2]);
  for (const job of rest) expect(job.after).toBe(pretrain?.id);
});

test("an unsupported cell needs no float training", () => {
  const [cell] = plan();
  if (!cell) throw new Error("the smoke matrix has no cells");
  const planned = jobs([{ ...cell, unsupported: "because" }]);
  expect(planned.map(({ kind, after }) => [kind, after])).toEqual([["cells", undefined]]);
});
