// Networks that read tokens, and networks that read features.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TensorProto_DataType as DataType } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { academic } from "../../../backends/academic.js";
import { minMax } from "../../../algorithms/minMax.js";
import { readOwnNetwork } from "../../../benchmarks/inputs/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, freezeFloat } from "../../../pipelines/freeze/index.js";
import { asDeployed, placeQuantizers, unquantized } from "../../../pipelines/network/index.js";
import * as ort from "../../../pipelines/onnxruntime.js";
import { calibrate } from "../../../pipelines/quantize/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { evaluate, train } from "../../../pipelines/train/index.js";
import { temporary } from "../../benchmarks/inputs/ownData/files.js";
import { installedEngines } from "../../engines.js";
import { deployedLogits } from "../../support.js";
import { values } from "./beside.js";
import { floats, integers, modelByHand, type HandModel } from "./modelByHand.js";

const [COUNT, LENGTH, WORDS, FEATURES, CLASSES] = [6, 7, 11, 8, 5];
const ids = values(COUNT * LENGTH, 0, WORDS).map(Math.floor);

/** Tokens, their rows of a table, a dense layer for each, their mean, a classifier. */
const model = (inputType: DataType, table: readonly number[] = [WORDS, FEATURES]): HandModel => ({
  ...{ opset: 17, input: ["batch", LENGTH], inputType },
  nodes: [
    { op: "Gather", inputs: ["table", "x"], outputs: ["rows"] },
    { op: "Add", inputs: ["rows", "places"], outputs: ["placed"] },
    { op: "MatMul", inputs: ["placed", "w"], outputs: ["p"] },
    { op: "Relu", inputs: ["p"], outputs: ["r"] },
    { op: "ReduceMean", inputs: ["r"], outputs: ["mean"], attributes: { axes: [1], keepdims: 0 } },
    { op: "Gemm", inputs: ["mean", "fc.w", "fc.b"], outputs: ["y"] },
  ],
  constants: [
    floats("table", table, values(table.reduce((a, b) => a * b, 1))),
    floats("places", [LENGTH, FEATURES], values(LENGTH * FEATURES)),
    floats("w", [FEATURES, FEATURES], values(FEATURES * FEATURES)),
    floats("fc.w", [FEATURES, CLASSES], values(FEATURES * CLASSES)),
    floats("fc.b", [CLASSES], values(CLASSES)),
  ],
});
const part = {
  count: COUNT,
  images: new Uint8Array(0),
  values: Float32Array.from(ids),
  labels: new Uint8Array(COUNT),
};
const dataset = {
  ...{ name: "tokens", shape: [1, LENGTH, 1], classes: CLASSES, mayFlip: false, checksum: "" },
  ...{ mean: [0], deviation: [1], train: part, test: part },
};

const hyperparameters = {
  ...{ batchSize: COUNT, momentum: 0, weightDecay: 0, calibrationBatches: 1 },
  augmentation: { shift: 0, flip: false },
  pretrain: { epochs: 1, learningRate: 0.5 },
  quantizedTraining: { epochs: 1, learningRate: 0.5 },
};

async function own(hand: HandModel) {
  const path = join(await temporary(), "words.onnx");
  const bytes = modelByHand(hand);
  await writeFile(path, bytes);
  return { bytes, network: await readOwnNetwork(path, dataset.shape) };
}

function expectNear(found: ArrayLike<number>, wanted: ArrayLike<number>, within: number): void {
  const reach = Array.from(wanted).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(reach).toBeGreaterThan(1e-3);
  expect(found.length).toBe(wanted.length);
  Array.from(wanted).forEach((value, i) => {
    expect(Math.abs(value - (found[i] ?? NaN))).toBeLessThanOrEqual(within * reach);
  });
}

describe.each([
  ["int64", DataType.INT64],
  ["int32", DataType.INT32],
] as const)("tokens of %s", (type, code) => {
  test("give what the original gives, on every engine, exported, and quantized", async () => {
    const { bytes, network: imported } = await own(model(code));
    const session = await ort.InferenceSession.create(bytes);
    const tokens = type === "int64" ? BigInt64Array.from(ids, BigInt) : Int32Array.from(ids);
    const given = await session.run({ x: new ort.Tensor(type, tokens, [COUNT, LENGTH]) });
    const expected = given["y"]?.data as Float32Array;
    await session.release();
    const { network, parameters } = imported;
    for (const [, engine] of installedEngines) {
      const logits = await evaluate(engine, network, {
        ...{ tensors: parameters, dataset, mode: () => ({ quantize: unquantized }) },
      });
      expectNear(logits, expected, 1e-4);
    }
    const again = exportOnnx(freezeFloat(network, parameters), "again");
    expectNear(await deployedLogits(again, dataset, "shipped"), expected, 1e-4);

    const engine = await loadEngine("onnxruntime");
    const placed = placeQuantizers(network, academic, { weights: 7, activations: 8 });
    const found = await calibrate(engine, {
      ...{ ...placed, algorithm: minMax, parameters, dataset, hyperparameters },
    });
    const tensors = { ...parameters, ...found };
    const simulated = await evaluate(engine, placed.network, {
      ...{ tensors, dataset, mode: (current) => asDeployed(minMax, placed, current) },
    });
    const frozen = await freeze(engine, placed, { algorithm: minMax, tensors });
    const deployed = await deployedLogits(exportOnnx(frozen, "q"), dataset, preciseKernels(frozen));
    expectNear(deployed, simulated, 0.03);
    expectNear(simulated, expected, 0.1);
  });
});

test("training moves the rows that tokens name, by the same on every engine, and no others", async () => {
  const { network: imported } = await own(model(DataType.INT64));
  const { network, parameters } = imported;
  const before = parameters["rows/table"]?.data ?? [];
  const moved: Float32Array[] = [];
  for (const [, engine] of installedEngines) {
    const { tensors } = await train(engine, {
      ...{ network, tensors: parameters, dataset, hyperparameters, seed: 0, name: "pretrain" },
      schedule: hyperparameters.pretrain,
    });
    moved.push(
      Float32Array.from(tensors["rows/table"]?.data ?? [], (v, i) => v - (before[i] ?? NaN)),
    );
  }
  const [first = new Float32Array(0), ...others] = moved;
  for (const other of others) expectNear(other, first, 1e-3);
  for (let row = 0; row < WORDS; row++) {
    const change = first.subarray(row * FEATURES, (row + 1) * FEATURES);
    expect(change.some((value) => value !== 0)).toBe(ids.includes(row));
  }
});

test("whole numbers that name no rows, and tables that are no matrix, are refused by their names", async () => {
  const { nodes, ...rest } = model(DataType.INT64);
  const cast = { op: "Cast", inputs: ["x"], outputs: ["real"], attributes: { to: 1 } };
  const gemm = { op: "Gemm", inputs: ["real", "m"], outputs: ["y"] };
  const plain = {
    ...rest,
    nodes: [cast, gemm],
    constants: [floats("m", [LENGTH, CLASSES], values(LENGTH * CLASSES))],
  };
  expect(nodes).toHaveLength(6);
  await expect(own(plain)).rejects.toThrow(/the input "x" of int64 names rows of no table/);
  await expect(own(model(DataType.INT64, [WORDS, 2, 4]))).rejects.toThrow(
    /Gather "rows" takes rows of a table of \[11,2,4\]/,
  );
});

test("features are read as they are", async () => {
  const hand: HandModel = {
    ...{ opset: 17, input: ["batch", LENGTH] },
    nodes: [{ op: "Gemm", inputs: ["x", "m"], outputs: ["y"] }],
    constants: [
      floats("m", [LENGTH, CLASSES], values(LENGTH * CLASSES)),
      integers("unused", [1], [0]),
    ],
  };
  const { network } = await own(hand);
  expect(network.network.nodes.map(({ op }) => op)).toContain("dense");
  // Once more from a file with raw bytes, which lie anywhere in it.
  const path = join(await temporary(), "again.onnx");
  await writeFile(path, exportOnnx(freezeFloat(network.network, network.parameters), "again"));
  const again = await readOwnNetwork(path, dataset.shape);
  expect(Object.values(again.parameters)).toEqual(Object.values(network.parameters));
});
