import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { deepShift } from "../../../algorithms/deepShift.js";
import type { Network, Operators } from "../../../algorithms/network.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { tvm } from "../../../backends/tvm.js";
import { resnet8, resnet8Adder, resnet8ShiftAdd } from "../../../benchmarks/models/index.js";
import { exportIntegers, exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, isCodebook } from "../../../pipelines/freeze/index.js";
import type { HostTensors } from "../../../pipelines/engine/index.js";
import {
  asDeployed,
  foldBatchNorm,
  forward,
  initialParameters,
  placeQuantizers,
  withOperators,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { accuracyOf, agreementOf, evaluate, train } from "../../../pipelines/train/index.js";
import { deployedLogits, normalValues, numbers } from "../../support.js";
import { checkpoint, dataset, engine, floatNetwork, hyperparameters } from "./toyNetwork.js";

interface Training {
  readonly algorithm: Algorithm;
  readonly profile: BackendProfile;
  readonly bits: { readonly weights: number; readonly activations: number };
  readonly network: Network;
  readonly checkpoint: HostTensors;
}

/** Float parameters that tell the classes apart: batch norm must have seen sums of distances. */
async function pretrained(network: Network) {
  const { tensors } = await train(engine, {
    ...{ network, dataset, hyperparameters, seed: 0, name: "pretrain" },
    tensors: initialParameters(network, 0),
    schedule: { epochs: 10, learningRate: 0.05 },
  });
  return tensors;
}

/** From a float checkpoint over a few steps to integers, and what the simulation gives. */
async function trained({ algorithm, profile, bits, network, checkpoint }: Training) {
  const { batchNorm } = profile;
  const quantized = placeQuantizers(foldBatchNorm(network, batchNorm), profile, bits);
  const { tensors } = await quantize(engine, {
    ...{ algorithm, floatNetwork: network, checkpoint, rewritten: network, quantized, dataset },
    ...{ batchNorm, hyperparameters, seed: 0 },
  });
  const frozen = await freeze(engine, quantized, { algorithm, tensors });
  const simulated = await evaluate(engine, quantized.network, {
    ...{ tensors, dataset },
    mode: (current) => asDeployed(algorithm, quantized, current),
  });
  return { quantized, frozen, simulated };
}

describe.each([
  { weights: 6, activations: 8 },
  { weights: 4, activations: 32 },
])("shift weights, W$weights A$activations", (bits) => {
  test("are trained, frozen and deployed as powers of two", async () => {
    const { quantized, frozen, simulated } = await trained({
      ...{ algorithm: deepShift, profile: academic, bits, network: floatNetwork, checkpoint },
    });
    const inner = quantized.sites.filter(
      ({ role, scheme }) => role === "weight" && scheme.bitWidth === bits.weights,
    );
    expect(inner).toHaveLength(8);
    for (const { id } of inner) {
      const { on, codes } = frozen.weights.get(id) ?? {};
      if (on === undefined || codes === undefined || !isCodebook(on)) throw new Error(id);
      expect([...on.levels].every((level) => Number.isInteger(Math.log2(Math.abs(level))))).toBe(
        true,
      );
      expect(new Set(codes).size).toBeGreaterThan(4);
    }
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.95);
  });
});

const adders = resnet8Adder.build({ inputShape: dataset.shape, classes: 4, width: 4 });
const trainedAdders = await pretrained(adders);

for (const [algorithm, profile, bits, used] of [
  [lsq, academic, { weights: 8, activations: 8 }, 8],
  [lsq, academic, { weights: 4, activations: 6 }, 6],
  [lsq, onnxruntime, { weights: 8, activations: 8 }, 8],
  [lsq, tvm, { weights: 8, activations: 8 }, 8],
  [minMax, onnxruntime, { weights: 8, activations: 8 }, 8],
] as const)
  test(`${algorithm.name} on ${profile.name}, A${String(used)}: one grid for filters and what they read`, async () => {
    const training = { algorithm, profile, bits, network: adders, checkpoint: trainedAdders };
    const { quantized, frozen, simulated } = await trained(training);
    const layers = quantized.network.nodes.flatMap((node) =>
      node.op === "float" && node.operation.kind === "adder" ? [{ node, ...node.operation }] : [],
    );
    expect(layers).toHaveLength(8);
    for (const { node, grid } of layers) {
      expect(node.inputs).toEqual([grid]);
      const site = quantized.sites.find(({ id }) => id === grid);
      expect(site).toMatchObject({ role: "activation", nonNegative: false });
      expect(site?.scheme.bitWidth).toBe(used);
      expect(frozen.weights.get(`${node.name}/kernel`)?.on).toBe(
        frozen.activations.get(grid ?? ""),
      );
      const codes = frozen.weights.get(`${node.name}/kernel`)?.codes ?? [];
      expect(new Set(codes).size).toBeGreaterThan(8);
    }
    expect(accuracyOf(simulated, dataset)).toBeGreaterThan(0.8);
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.95);
    if (!("arithmetic" in profile)) return;
    const integers = exportIntegers(frozen, "net", profile.arithmetic);
    const reference = await deployedLogits(integers, dataset, "shipped");
    expect(agreementOf(simulated, reference, 4).share).toBeGreaterThan(0.95);
  });

test("filters of adder layers stay in float where activations do, or weights", () => {
  for (const bits of [
    { weights: 8, activations: 32 },
    { weights: 32, activations: 8 },
  ]) {
    const { network } = placeQuantizers(adders, academic, bits);
    for (const node of network.nodes)
      if (node.op === "float") expect(node.operation).not.toHaveProperty("grid");
  }
});

describe("a network of convolutions, shift and adder layers", () => {
  const options = { inputShape: dataset.shape, classes: 4, width: 4 };
  const hybrid = resnet8ShiftAdd.build(options);
  const bits = { weights: 8, activations: 8 };

  test("is trained, frozen and deployed, each layer with its own numbers", async () => {
    const { quantized, frozen, simulated } = await trained({
      ...{ algorithm: lsq, profile: academic, bits, network: hybrid },
      checkpoint: await pretrained(hybrid),
    });
    const shifts = quantized.sites.filter(({ operator }) => operator === "shift");
    expect(shifts.map(({ id }) => id)).toEqual(["s0.0.a", "s1.0.a", "s2.0.a"].map(kernel));
    for (const { id, scheme } of shifts) {
      expect(scheme.bitWidth).toBe(6);
      const on = frozen.weights.get(id)?.on;
      expect(on !== undefined && isCodebook(on) && on.levels.length).toBe(64);
    }
    for (const id of ["s0.0.b", "s1.0.b", "s2.0.b"].map(kernel))
      expect(frozen.weights.get(id)?.on).toBe(
        frozen.activations.get(id.replace("kernel", "input")),
      );
    const shortcut = frozen.weights.get("s1.0.d/kernel")?.on;
    expect(shortcut !== undefined && isCodebook(shortcut)).toBe(false);
    expect(accuracyOf(simulated, dataset)).toBeGreaterThan(0.8);
    const deployed = await deployedLogits(exportOnnx(frozen, "net"), dataset, "inFloat");
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.95);
  });

  test("is the same whether its operators were there before quantizers or after", () => {
    const kinds: Operators = Object.fromEntries(
      ["s0.0", "s1.0", "s2.0"].flatMap((block) => [
        [`${block}.a`, "shift"],
        [`${block}.b`, "adder"],
      ]),
    );
    for (const profileBits of [bits, { weights: 4, activations: 32 }]) {
      const plain = placeQuantizers(resnet8.build(options), academic, profileBits);
      const changed = withOperators(plain, kinds);
      const built = placeQuantizers(hybrid, academic, profileBits);
      expect(changed.network).toEqual(built.network);
      // What a layer multiplies is counted where it is a convolution alone.
      expect(changed.sites.toSorted(byId)).toEqual(built.sites.toSorted(byId));
    }
  });

  test("what cannot be another operator says why", () => {
    const placed = placeQuantizers(resnet8.build(options), onnxruntime, bits);
    expect(() => withOperators(placed, { "s0.0.b": "adder" })).toThrow(/shares the quantizer/);
    expect(() => withOperators(placed, { nothing: "shift" })).toThrow(/no convolution "nothing"/);
    const folded = foldBatchNorm(resnet8.build(options), 4);
    const merged = placeQuantizers(folded, onnxruntime, bits);
    expect(() => withOperators(merged, { "s0.0.b": "adder" })).toThrow(/keep their batch norm/);
  });
});

const kernel = (layer: string) => `${layer}/kernel`;
const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1);

test("the scale that filters share gets the loss's own gradient, filters that of fixed norm", async () => {
  await tf.setBackend("cpu");
  const { network, sites } = placeQuantizers(adders, academic, { weights: 8, activations: 8 });
  const id = "s2.0.b/input";
  const place = sites.find((site) => site.id === id);
  if (place === undefined) throw new Error(id);
  const tensors = Object.fromEntries(
    Object.entries(trainedAdders).map(([name, { data, shape }]) => [
      name,
      tf.tensor(data, [...shape]),
    ]),
  );
  const images = tf.tensor(normalValues(128, 9), [2, 8, 8, 1]);
  const gradients = (factor: number) =>
    tf.grads((kernel: tf.Tensor, scale: tf.Tensor) => {
      const { logits } = forward(network, images, {
        ...{ parameters: { ...tensors, "s2.0.b/kernel": kernel }, training: false },
        quantize: (site, x) => (site === id ? lsq.activation.fakeQuantize(x, { scale }, place) : x),
      });
      return tf.mul(tf.sum(tf.square(logits)), factor);
    })([tensors["s2.0.b/kernel"] as tf.Tensor, tf.scalar(0.05)]);
  const [whole, tenth] = [gradients(1), gradients(0.1)].map((found) => found.map(numbers));
  const norm = Math.hypot(...(whole?.[0] ?? []));
  expect(norm).toBeCloseTo(0.2 * Math.sqrt(whole?.[0]?.length ?? NaN), 4);
  expect(Math.hypot(...(tenth?.[0] ?? []))).toBeCloseTo(norm, 4);
  expect((whole?.[1]?.[0] ?? NaN) / (tenth?.[1]?.[0] ?? NaN)).toBeCloseTo(10, 1);
});
