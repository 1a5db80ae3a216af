import { describe, expect, test } from "vitest";
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
  expect(await reasons({ seeds: 1 })).toEqual(Array.from({ length: 17 }, () => undefined));
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

test("what finds channels keeps to measured time, where that is what it weighs", async () => {
  const reasonOf = async (algorithm: string) => {
    const block = {
      ...{
        algorithms: [algorithm],
        backends: ["academic"],
        bits: [{ weights: 4, activations: 4 }],
      },
      variants: [
        { budget: { unit: "microseconds" as const, on: "onnxruntime" as const, share: 0.7 } },
      ],
    };
    const [reason] = await reasons({ seeds: 1, cells: [block] });
    return reason;
  };
  for (const algorithm of ["uniformWidth", "slimming", "parameterizedPruning", "sposChannels"])
    expect(await reasonOf(algorithm)).toBeUndefined();
  expect(await reasonOf("nce")).toBe(
    "it keeps to a budget of multiplications or parameters, not of microseconds",
  );
  expect(await reasonOf("haq")).toMatch(/as long for all widths up to 8 bits/);
});

test("operators are searched beside networks of one kind, all of which can be run", async () => {
  const operators = await loadMatrix("operators");
  const cells = await planCells({ ...operators, seeds: 1 }, dataset, engine);
  expect(cells.map(({ unsupported }) => unsupported)).toEqual([
    ...[undefined, undefined, undefined, undefined, undefined],
  ]);
  expect(new Set(cells.map(({ id }) => id)).size).toBe(5);
});

describe("networks of shift and adder layers", () => {
  const reasonFor = async (model: string, algorithm: string, backend: string, changes = {}) => {
    const [reason] = await reasons({
      seeds: 1,
      models: [{ name: model, width: 4 }],
      cells: [
        {
          ...{ algorithms: [algorithm], backends: [backend] },
          ...{ bits: [{ weights: 8, activations: 8 }], ...changes },
        },
      ],
      hyperparameters: {
        ...structure.hyperparameters,
        pretrain: { epochs: 1, learningRate: 0.1 },
      },
    });
    return reason;
  };

  test("are quantized by what quantizes tensors, where a backend has their levels", async () => {
    expect(await reasonFor("resnet8Adder", "lsq", "onnxruntime")).toBeUndefined();
    expect(await reasonFor("resnet8ShiftAdd", "lsq", "academic")).toBeUndefined();
    expect(await reasonFor("resnet8ShiftAdd", "lsq", "onnxruntime")).toMatch(/not uniform/);
    // Ternary weights have 2 or 8 bits; those of shift layers have their own.
    expect(await reasonFor("resnet8ShiftAdd", "twn", "academic")).toBeUndefined();
  });

  test("are none for what looks at convolutions one by one", async () => {
    for (const algorithm of ["adaRound", "nce", "nasa"])
      expect(await reasonFor("resnet8Adder", algorithm, "academic")).toMatch(
        /s0.0.a is another operator/,
      );
  });

  test("are searched on backends that leave batch norm alone, or given in its place", async () => {
    expect(await reasonFor("resnet8", "nasa", "academic")).toBeUndefined();
    expect(await reasonFor("resnet8", "nasa", "onnxruntime")).toMatch(/have a batch norm each/);
    const all = { variants: [{ operators: "adder" as const }] };
    expect(await reasonFor("resnet8", "nasa", "academic", all)).toBeUndefined();
    expect(await reasonFor("resnet8", "lsq", "academic", all)).toMatch(/does not choose operators/);
  });
});
