import { expect, test } from "vitest";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { planCells } from "../../../benchmarks/planning/plan.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { variantLabel } from "../../../results/variant.js";

test("plans say where it is, where it cannot be, and leave alone what is not trained", async () => {
  const smoke = await loadMatrix("smoke");
  const dataset = await loadDataset(smoke.dataset, "", smoke.hyperparameters);
  const engine = await loadEngine("onnxruntime");
  const cellsOf = (algorithm: string, variants?: (typeof smoke.cells)[number]["variants"]) =>
    planCells(
      {
        ...smoke,
        cells: [
          {
            ...{ algorithms: [algorithm], backends: ["academic"], variants },
            bits: [{ weights: 4, activations: 4 }],
          },
        ],
      },
      dataset,
      engine,
    );
  const both = [{}, { distillation: { weight: 0.9, temperature: 4 } }];
  const [plain, taught] = await cellsOf("lsq", both);
  if (plain === undefined || taught === undefined) throw new Error("no cells");
  expect(plain.id).toBe((await cellsOf("lsq"))[0]?.id);
  expect(plain.pretrainKey).toBe(taught.pretrainKey);
  expect(variantLabel(taught.config)).toBe("distilled 0.9 at 4");
  expect(await cellsOf("minMax", both)).toHaveLength(1);
  const [, refused] = await cellsOf("sdq", both);
  expect(refused?.unsupported).toMatch(/a loss of its own \("distill"\)/);
});
