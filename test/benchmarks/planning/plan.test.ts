import { describe, expect, test } from "vitest";
import { algorithms } from "../../../algorithms/index.js";
import { backends } from "../../../backends/index.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { planCells, type Cell } from "../../../benchmarks/planning/plan.js";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { makeJobs, type Plan } from "../../../benchmarks/running/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";

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
      lowering: "auto",
      ownNetworks: [],
      notes: [],
      dataDirectory: "",
      cells,
      allCells: cells,
    } satisfies Plan,
    cells,
    "",
  );

describe("a cell's id", () => {
  test("is the same for the same configuration, and another for any change", async () => {
    const ids = (cells: readonly Cell[]) => cells.map(({ id }) => id);
    expect(ids(await plan())).toEqual(ids(await plan()));
    const hyperparameters = { ...matrix.hyperparameters, weightDecay: 0.5 };
    const all = [
      ...(await plan()),
      ...(await plan({ hyperparameters })),
      ...(await plan({ models: [{ name: "resnet8", width: 5 }] })),
    ];
    expect(new Set(ids(all)).size).toBe(12);
  });

  test("is there once when blocks of a matrix overlap", async () => {
    expect(await plan({ cells: [...matrix.cells, ...matrix.cells] })).toHaveLength(4);
  });
});

test("a float training is shared by everything but model, seed and its own settings", async () => {
  const keys = (cells: readonly Cell[]) => new Set(cells.map(({ pretrainKey }) => pretrainKey));
  const quantizedTraining = { epochs: 9, learningRate: 0.5 };
  const other = await plan({ hyperparameters: { ...matrix.hyperparameters, quantizedTraining } });
  expect(keys([...(await plan()), ...other]).size).toBe(1);
  expect(keys(await plan({ seeds: 3 })).size).toBe(3);
});

test("cells with the same effective quantization are one job, after their float training", async () => {
  const cells = await plan();
  const [first, second] = cells;
  if (!first || !second) throw new Error("the smoke matrix has no cells");
  const twin = { ...second, trainingKey: first.trainingKey };
  const [pretrain, ...rest] = jobs([first, twin, ...cells.slice(2)]);
  expect(pretrain?.kind).toBe("pretrain");
  expect(rest.map((job) => job.cells.length).sort()).toEqual([1, 1, 2]);
  for (const job of rest) expect(job.after).toBe(pretrain?.id);
});

test("a float training that is stored is no job, and nothing waits for it", async () => {
  const cells = await plan();
  const [cell] = cells;
  if (!cell) throw new Error("the smoke matrix has no cells");
  const common = {
    ...{ matrix, dataset, engine: engine.name, lowering: "auto" as const },
    ...{ ownNetworks: [], notes: [], dataDirectory: "", cells },
  };
  const stored = new Set([`float-${cell.pretrainKey}`]);
  const found = makeJobs({ ...common, allCells: cells }, cells, "", { stages: stored });
  expect(found.map(({ kind, after }) => [kind, after])).toEqual(
    cells.map(() => ["cells", undefined]),
  );
});

test("an unsupported cell needs no float training", async () => {
  const [cell] = await plan();
  if (!cell) throw new Error("the smoke matrix has no cells");
  const planned = jobs([{ ...cell, unsupported: "because" }]);
  expect(planned.map(({ kind, after }) => [kind, after])).toEqual([["cells", undefined]]);
});

describe("what a backend cannot hold or an algorithm cannot give is unsupported, with the reason:", () => {
  const reason = async (
    algorithm: string,
    backend: string,
    weights: number,
    activations = weights,
  ) => {
    const [cell] = await plan({
      cells: [{ algorithms: [algorithm], backends: [backend], bits: [{ weights, activations }] }],
    });
    return cell?.unsupported;
  };

  test.each([
    ["lsq", "onnxQnn", 4, /holds weights of 8 bits, not 4/],
    ["minMax", "pplW8A16", 8, /holds activations of 16 bits, not 8/],
    ["lsq", "nnie", 8, /its levels are uniform, and the backend computes with logarithmic ones/],
    ["apot", "tensorrt", 4, /its levels are not uniform/],
    ["logarithmic", "academic", 8, /logarithmic/],
    ["channelwiseSize", "tvm", 8, /a float scale each/],
  ])("%s on %s at %i bits", async (algorithm, backend, bits, message) => {
    expect(await reason(algorithm, backend, bits)).toMatch(message);
  });

  test.each([
    ["minMax", "pplW8A16", 8, 16],
    ["logarithmic", "nnie", 8, 8],
    ["apot", "academic", 4, 4],
    ["deepShift", "academic", 6, 8],
    ["palquant", "academic", 2, 2],
  ])("but not %s on %s at W%iA%i", async (algorithm, backend, weights, activations) => {
    expect(await reason(algorithm, backend, weights, activations)).toBeUndefined();
  });
});

test("each variant of a block is a cell, with its own hyperparameters where it changes them", async () => {
  const [block] = matrix.cells;
  if (!block) throw new Error("the smoke matrix has no cells");
  const variants = [
    {},
    { batchNorm: 2 as const },
    { graph: 3 as const },
    { initialization: { weights: "mse", activations: "percentile" } },
    { quantizerWeightDecay: 0.01 },
  ];
  const cells = await plan({
    cells: [{ ...block, algorithms: ["lsq"], backends: ["academic"], variants }],
  });
  expect(new Set(cells.map(({ id }) => id)).size).toBe(5);
  expect(new Set(cells.map(({ trainingKey }) => trainingKey)).size).toBe(5);
  expect(new Set(cells.map(({ pretrainKey }) => pretrainKey)).size).toBe(1);
  expect(cells.at(-1)?.config.hyperparameters.quantizerWeightDecay).toBe(0.01);
});

test("the preset full has every algorithm on every backend, each where it has a number if anywhere", async () => {
  const full = await loadMatrix("full");
  const cells = await planCells(
    full,
    await loadDataset(full.dataset, "", full.hyperparameters),
    engine,
  );
  const pairOf = ({ config }: Cell) => `${config.algorithm.name} on ${config.backend.name}`;
  const pairs = algorithms.flatMap(({ name }) => backends.map((on) => `${name} on ${on.name}`));
  expect(new Set(cells.map(pairOf))).toEqual(new Set(pairs));
  const supported = new Set(
    cells.filter(({ unsupported }) => unsupported === undefined).map(pairOf),
  );
  // Every backend can hold what some algorithm makes, and every algorithm is at home somewhere.
  expect(new Set([...supported].map((pair) => pair.split(" on ")[1])).size).toBe(backends.length);
  expect(new Set([...supported].map((pair) => pair.split(" on ")[0])).size).toBe(algorithms.length);
});
