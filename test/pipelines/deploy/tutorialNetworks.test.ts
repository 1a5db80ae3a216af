import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import type { Network } from "../../../algorithms/network.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { litert as litertProfile } from "../../../backends/litert.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { stpu } from "../../../backends/stpu.js";
import { findRuntime } from "../../../pipelines/deploy/index.js";
import { runOn } from "../../../pipelines/deploy/runtimes/runOn.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { type FrozenNetwork, isCodebook } from "../../../pipelines/freeze/index.js";
import { preciseKernels, sessionOptions } from "../../../pipelines/session.js";
import { frozenNetwork } from "../frozenNetwork.js";

/** LeNet's shape, with the order of most tutorials: pool, then ReLU. */
const lenet = {
  build: (): Network => ({
    nodes: [
      { op: "input", name: "image", shape: [8, 8, 1] },
      { ...{ op: "conv2d", name: "a", input: "image", filters: 4 }, ...WINDOW, bias: true },
      { op: "maxPool", name: "a.pool", input: "a", size: 2, stride: 2 },
      { op: "relu", name: "a.relu", input: "a.pool" },
      { ...{ op: "conv2d", name: "b", input: "a.relu", filters: 6 }, ...WINDOW, bias: true },
      { op: "maxPool", name: "b.pool", input: "b", size: 2, stride: 2 },
      { op: "float", name: "flat", inputs: ["b.pool"], operation: { kind: "flatten" } },
      { op: "dense", name: "c", input: "flat", units: 10 },
      { op: "relu", name: "c.relu", input: "c" },
      { op: "dense", name: "classifier", input: "c.relu", units: 4 },
    ],
  }),
};
const WINDOW = { kernelSize: 3, stride: 1, depthwise: false } as const;

const COUNT = 50;
const part = {
  count: COUNT,
  images: Uint8Array.from({ length: COUNT * 64 }, (_, i) => (i * i * 97 + (i >> 6) * 1319) % 251),
  labels: new Uint8Array(COUNT),
};
const dataset = {
  ...{ name: "noise", shape: [8, 8, 1], classes: 4, mean: [0.5], deviation: [0.25] },
  ...{ mayFlip: false, train: part, test: part, checksum: "" },
};

/** Random weights, small enough for sums to fit the ranges that they are rounded to. */
function frozenOn(profile: BackendProfile): FrozenNetwork {
  const frozen = frozenNetwork({ profile, bits: 8, seed: 3, model: lenet });
  const weights = new Map(
    [...frozen.weights].map(([id, { on, codes }]) => {
      if (isCodebook(on)) throw new Error(`"${id}" has no steps`);
      return [id, { on: { ...on, scale: on.scale.map((step) => step / 20) }, codes }] as const;
    }),
  );
  return { ...frozen, weights };
}

async function logitsOn(name: string, profile: BackendProfile): Promise<number[]> {
  const { arithmetic } = profile;
  const model = findRuntime(name).write(frozenOn(profile), { name: "n", batch: COUNT, arithmetic });
  return Array.from((await runOn(findRuntime(name), model, dataset)).logits);
}

describe("a convolution, a pool and then a ReLU, and a dense layer of all pixels", () => {
  test.each([litertProfile, stpu, academic, onnxruntime])("load for $name", async (profile) => {
    const frozen = frozenOn(profile);
    const bytes = exportOnnx(frozen, "n");
    const session = await ort.InferenceSession.create(
      bytes,
      sessionOptions(preciseKernels(frozen)),
    );
    expect(session.outputNames).toEqual(["logits"]);
    await session.release();
  });

  test.each([litertProfile, stpu])("compute on LiteRT what $name does", async (profile) => {
    const expected = await logitsOn("integers", profile);
    const found = await logitsOn("litert", profile);
    expect(new Set(expected).size).toBeGreaterThan(8);
    const equal = found.filter((logit, i) => logit === expected[i]).length;
    expect(equal / found.length).toBeGreaterThan(0.9);
  });
});
