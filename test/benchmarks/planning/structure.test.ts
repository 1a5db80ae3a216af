import { expect, test } from "vitest";
import { loadDataset } from "../../../benchmarks/inputs/index.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { planCells } from "../../../benchmarks/planning/plan.js";
import { loadEngine } from "../../../pipelines/engine/index.js";

const structure = await loadMatrix("structure");
const dataset = await loadDataset(structure.dataset, "", structure.hyperparameters);
const engine = await loadEngine("onnxruntime");
const reasons = async (changes: Partial<typeof structure>) => {
  const cells = await planCells({ ...structure, ...changes }, dataset, engine);
  return cells.map(({ unsupported }) => unsupported);
};

test("every cell of the structures can be run", async () => {
  expect(await reasons({ seeds: 1 })).toEqual(Array.from({ length: 13 }, () => undefined));
});

test("what finds neither bits nor channels keeps to no budget, and has no random control", async () => {
  const block = {
    ...{ backends: ["onnxruntime"], bits: [{ weights: 8, activations: 8 }] },
    variants: [{ budget: { unit: "size" as const } }],
  };
  expect(await reasons({ seeds: 1, cells: [{ ...block, algorithms: ["smartExchange"] }] })).toEqual(
    ["it searches neither bits nor channels, so that it keeps to no budget"],
  );
  const random = { ...block, variants: [{ search: "random" as const }] };
  expect(await reasons({ seeds: 1, cells: [{ ...random, algorithms: ["uniformWidth"] }] })).toEqual(
    ["it searches no bits, so that random search of bits is no control"],
  );
});
