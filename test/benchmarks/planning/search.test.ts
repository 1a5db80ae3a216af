import { expect, test } from "vitest";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { planCells } from "../../../benchmarks/planning/plan.js";
import { loadEngine } from "../../../pipelines/engine/index.js";

const search = await loadMatrix("search");
const dataset = await loadDataset(search.dataset, "", search.hyperparameters);
const engine = await loadEngine("onnxruntime");
const cells = await planCells(search, dataset, engine);

test("every cell of the searches can be run, from stored networks", () => {
  expect(cells.map(({ unsupported }) => unsupported)).toEqual(cells.map(() => undefined));
  for (const { config } of cells) expect(config.model.checkpoint).toMatch(/^[0-9a-f]{64}$/);
});

test("a model may have fewer seeds than the others", async () => {
  const seedsOf = (model: string, planned = cells) =>
    new Set(planned.flatMap(({ config }) => (config.model.name === model ? [config.seed] : [])));
  expect(seedsOf("resnet8")).toEqual(new Set([0, 1, 2]));
  expect(seedsOf("mobileNetV2")).toEqual(new Set([0]));
  const fewer = await planCells({ ...search, seeds: 1 }, dataset, engine);
  expect(seedsOf("resnet8", fewer)).toEqual(new Set([0]));
});

test("every system has, on ResNet-8, random search in its place, or its own control", () => {
  const budgets = (algorithm: string, control?: "random") =>
    cells
      .filter(({ config }) => config.model.name === "resnet8" && config.seed === 0)
      .filter(({ config }) => config.algorithm.name === algorithm)
      .filter(({ config }) => config.variant?.search === control)
      .map(({ config }) => [config.bits.weights, config.bits.activations].join("/"));
  const several = ["3/3", "4/4", "5/5"];
  for (const system of ["haq", "hawq", "spos", "sdq", "schaefer"]) {
    expect(budgets(system), system).toEqual(expect.arrayContaining(several));
    expect(budgets(system, "random"), system).toEqual(expect.arrayContaining(several));
  }
  for (const uniform of ["lsq", "pact"])
    expect(budgets(uniform), uniform).toEqual(expect.arrayContaining(several));
  expect(budgets("truncation")).toEqual(budgets("verticalLayering"));
});
