import { expect, test } from "vitest";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { planCells } from "../../../benchmarks/planning/plan.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { variantLabel } from "../../../results/variant.js";

const survey = await loadMatrix("survey");
const dataset = await loadDataset(survey.dataset, "", survey.hyperparameters);
const engine = await loadEngine("onnxruntime");
const plan = (changes: Partial<typeof survey>) =>
  planCells({ ...survey, ...changes }, dataset, engine);

test("every cell of the survey can be run; only ResNet-8 starts from a stored network", async () => {
  const cells = await plan({ seeds: 1 });
  expect(cells).toHaveLength(44);
  expect(cells.map(({ unsupported }) => unsupported)).toEqual(cells.map(() => undefined));
  for (const { config } of cells)
    expect(config.hyperparameters.pretrain === "stored").toBe(config.model.name === "resnet8");
  const bits = cells
    .filter(({ config }) => config.algorithm.name === "dorefa")
    .map(({ config }) => `${String(config.bits.weights)}/${String(config.bits.activations)}`);
  expect(new Set(bits).size).toBe(16);
});

test("densities are cells of their own, and what does not prune has none", async () => {
  const cells = await plan({
    seeds: 1,
    cells: [
      {
        ...{ algorithms: ["magnitudePruning", "lsq"], backends: ["academic"] },
        models: ["resnet8"],
        bits: [
          { weights: 4, activations: 4 },
          { weights: 32, activations: 4 },
        ],
        variants: [{ density: 0.5 }, { density: 0.1 }],
      },
    ],
  });
  expect(new Set(cells.map(({ trainingKey }) => trainingKey)).size).toBe(8);
  expect(variantLabel(cells[1]?.config as (typeof cells)[0]["config"])).toBe("density 0.1");
  expect(cells[0]?.config.algorithm.computes).not.toBe(cells[1]?.config.algorithm.computes);
  const reasons = cells.map(({ unsupported = "" }) => unsupported);
  expect(reasons.slice(0, 2).filter(Boolean)).toEqual([]);
  expect(reasons.join()).toMatch(/does not prune to a density/);
  expect(reasons.join()).toMatch(/prunes weights where they are quantized/);
});
