import * as ort from "../../../pipelines/onnxruntime.js";
import { describe, expect, test } from "vitest";
import type { Network } from "../../../algorithms/network.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { litert as litertProfile } from "../../../backends/litert.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { stpu } from "../../../backends/stpu.js";
import { findRuntime, preciseKernels } from "../../../pipelines/deploy/index.js";
import { runOn } from "../../../pipelines/deploy/runtimes/runOn.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import type { FrozenNetwork } from "../../../pipelines/freeze/index.js";
import { sessionOptions } from "../../../pipelines/session.js";
import { frozenNetwork, type Choice } from "../frozenNetwork.js";

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
const PIXEL = { op: "conv2d", kernelSize: 1, stride: 1, depthwise: false, bias: true } as const;

/** A fire module (Iandola et al., 2016), whose halves are joined and pooled. */
const fire = {
  build: (): Network => ({
    nodes: [
      { op: "input", name: "image", shape: [8, 8, 1] },
      { ...{ op: "conv2d", name: "a", input: "image", filters: 4 }, ...WINDOW, bias: true },
      { op: "relu", name: "a.relu", input: "a" },
      { ...PIXEL, name: "narrow", input: "a.relu", filters: 4 },
      { op: "relu", name: "narrow.relu", input: "narrow" },
      { ...{ op: "conv2d", name: "wide", input: "a.relu", filters: 6 }, ...WINDOW, bias: true },
      { op: "concat", name: "joined", inputs: ["narrow.relu", "wide"] },
      { op: "maxPool", name: "pooled", input: "joined", size: 2, stride: 2 },
      { ...PIXEL, name: "b", input: "pooled", filters: 4 },
      { op: "globalAveragePool", name: "mean", input: "b" },
      { op: "dense", name: "classifier", input: "mean", units: 4 },
    ],
  }),
};

/** One convolution that a layer reads, and what is joined. */
const readTwice = {
  build: (): Network => ({
    nodes: [
      { op: "input", name: "image", shape: [8, 8, 1] },
      { ...{ op: "conv2d", name: "a", input: "image", filters: 4 }, ...WINDOW, bias: true },
      { op: "relu", name: "a.relu", input: "a" },
      { ...PIXEL, name: "b", input: "a.relu", filters: 4 },
      { op: "concat", name: "joined", inputs: ["a.relu", "b"] },
      { ...PIXEL, name: "c", input: "joined", filters: 4 },
      { op: "globalAveragePool", name: "mean", input: "c" },
      { op: "dense", name: "classifier", input: "mean", units: 4 },
    ],
  }),
};

/** Two convolutions with nothing between, the first of images with both signs. */
const inARow = {
  build: (): Network => ({
    nodes: [
      { op: "input", name: "image", shape: [8, 8, 1] },
      { ...{ op: "conv2d", name: "a", input: "image", filters: 4 }, ...WINDOW, bias: true },
      { ...{ op: "conv2d", name: "b", input: "a", filters: 6 }, ...WINDOW, bias: true },
      { op: "relu", name: "b.relu", input: "b" },
      { op: "globalAveragePool", name: "mean", input: "b.relu" },
      { op: "dense", name: "classifier", input: "mean", units: 4 },
    ],
  }),
};

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

const frozenOn = (profile: BackendProfile, model: Choice["model"] = lenet): FrozenNetwork =>
  frozenNetwork({ profile, bits: 8, seed: 3, model, calm: 20 });

async function logitsOn(
  name: string,
  profile: BackendProfile,
  network: Choice["model"] = lenet,
): Promise<number[]> {
  const { arithmetic } = profile;
  const options = { name: "n", batch: COUNT, arithmetic };
  const model = findRuntime(name).write(frozenOn(profile, network), options);
  return Array.from((await runOn(findRuntime(name), model, { dataset })).logits);
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

  test.each([litertProfile, stpu, academic, onnxruntime])(
    "and convolutions in a row load for $name",
    async (profile) => {
      const frozen = frozenOn(profile, inARow);
      const options = sessionOptions(preciseKernels(frozen));
      const session = await ort.InferenceSession.create(exportOnnx(frozen, "n"), options);
      expect(session.outputNames).toEqual(["logits"]);
      await session.release();
    },
  );

  test.each([litertProfile, stpu])("compute on LiteRT what $name does", async (profile) => {
    const expected = await logitsOn("integers", profile);
    const found = await logitsOn("litert", profile);
    expect(new Set(expected).size).toBeGreaterThan(8);
    const equal = found.filter((logit, i) => logit === expected[i]).length;
    expect(equal / found.length).toBeGreaterThan(0.9);
  });
});

describe("joined channels", () => {
  test.each([
    { of: "a fire module", network: fire, profile: litertProfile },
    { of: "a fire module", network: fire, profile: onnxruntime },
    { of: "a result that is read twice", network: readTwice, profile: litertProfile },
    { of: "a result that is read twice", network: readTwice, profile: onnxruntime },
  ])("of $of compute on LiteRT what $profile.name does", async ({ network, profile }) => {
    const expected = await logitsOn("integers", profile, network);
    const found = await logitsOn("litert", profile, network);
    expect(new Set(expected).size).toBeGreaterThan(4);
    const reach = Math.max(...expected.map(Math.abs));
    const near = found.filter((logit, i) => Math.abs(logit - (expected[i] ?? NaN)) < 1e-4 * reach);
    expect(near.length / found.length).toBeGreaterThan(0.9);
  });
});
