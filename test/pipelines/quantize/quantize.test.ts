import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { adaRound } from "../../../algorithms/adaRound.js";
import { algorithms } from "../../../algorithms/index.js";
import { channelwiseSize } from "../../../algorithms/channelwiseSize.js";
import { hawq } from "../../../algorithms/hawq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { mse } from "../../../algorithms/mse.js";
import { qdrop } from "../../../algorithms/qdrop.js";
import { academic } from "../../../backends/academic.js";
import { BATCH_NORM_STRATEGIES, type BackendProfile } from "../../../backends/backend.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe } from "../../../backends/snpe.js";
import { mobileNetV2, resnet20 } from "../../../benchmarks/models/index.js";
import { accuracyOf, evaluate } from "../../../pipelines/train/index.js";
import {
  blockUnits,
  findNode,
  foldBatchNorm,
  layerUnits,
  placeQuantizers,
  unquantized,
  unquantizedTensors,
} from "../../../pipelines/network/index.js";
import { installedEngines } from "../../engines.js";
import { checkpoint, dataset, floatNetwork, onnx, options, quantized } from "./toyCell.js";

const floatLogits = await evaluate(onnx, floatNetwork, {
  tensors: checkpoint,
  dataset,
  mode: () => ({ quantize: unquantized }),
});

/** Mean squared distance of a cell's logits from the float network's. */
const distance = (logits: Float32Array): number =>
  logits.reduce((sum, v, i) => sum + (v - (floatLogits[i] ?? 0)) ** 2, 0) / logits.length;

describe.each(installedEngines)("%s", (_, engine) => {
  const tried: readonly (readonly [Algorithm, BackendProfile])[] = [
    ...[adaRound, qdrop, hawq, mse].map((algorithm) => [algorithm, academic] as const),
    // Widths of channels need scales of channels for weights, which the academic profile does not have.
    [channelwiseSize, onnxruntime],
  ];
  test.each(tried.map(([algorithm, profile]) => [algorithm.name, algorithm, profile] as const))(
    "calibrates, searches, reconstructs or trains %s, which is deployed as simulated",
    async (__, algorithm, profile) => {
      const { simulated, agreement } = await quantized(algorithm, profile, {
        ...{ engine, bits: profile === academic ? 4 : 8 },
      });
      expect(accuracyOf(simulated, dataset)).toBeGreaterThan(0.8);
      expect(agreement.share).toBeGreaterThanOrEqual(63 / 64);
    },
  );
});

describe("batch norm", () => {
  test.each(BATCH_NORM_STRATEGIES)(
    "strategy %i trains, and is deployed as simulated",
    async (batchNorm) => {
      const lsq = algorithms.find(({ name }) => name === "lsq") as Algorithm;
      const { agreement, divergedAt, simulated } = await quantized(lsq, snpe, { batchNorm });
      expect(divergedAt).toBeUndefined();
      expect(accuracyOf(simulated, dataset)).toBeGreaterThan(0.5);
      expect(agreement.share).toBeGreaterThanOrEqual(63 / 64);
    },
  );
});

describe("corrections", () => {
  test("bias correction brings 3-bit logits nearer to the float network's", async () => {
    const bits = { bits: 3, activationBits: 8 };
    const plain = await quantized(minMax, snpe, bits);
    const corrected = await quantized(
      { ...minMax, corrections: { correctBias: true } },
      snpe,
      bits,
    );
    expect(distance(corrected.simulated)).toBeLessThan(0.7 * distance(plain.simulated));
    expect(corrected.agreement.share).toBeGreaterThanOrEqual(63 / 64);
  });

  test("batch norm's statistics are measured behind quantized tensors", async () => {
    const plain = await quantized(mse, academic, { bits: 2 });
    const recalibrated = await quantized(
      { ...mse, corrections: { recalibrateBatchNorm: true } },
      academic,
      { bits: 2 },
    );
    expect(accuracyOf(recalibrated.simulated, dataset)).toBeGreaterThanOrEqual(
      accuracyOf(plain.simulated, dataset),
    );
    expect(recalibrated.tensors["s2.0.b.bn/mean"]?.data).not.toEqual(
      plain.tensors["s2.0.b.bn/mean"]?.data,
    );
    expect(recalibrated.tensors["stem/kernel"]?.data).toEqual(plain.tensors["stem/kernel"]?.data);
  });
});

describe("reconstruction", () => {
  test("units are the layers, or residual blocks and chains of three", () => {
    const { network } = placeQuantizers(foldBatchNorm(resnet20.build(options), 4), snpe, {
      weights: 4,
      activations: 4,
    });
    expect(layerUnits(network)).toHaveLength(1 + 9 * 2 + 2 + 1);
    const blocks = blockUnits(network);
    expect(blocks.map(({ output }) => output)).toEqual([
      "stem.relu",
      ...[0, 1, 2].flatMap((stage) =>
        [0, 1, 2].map((block) => `s${String(stage)}.${String(block)}.relu`),
      ),
      "classifier",
    ]);
    for (const { inputs } of blocks) expect(inputs).toHaveLength(1);
    const mobile = foldBatchNorm(mobileNetV2.build(options), 4);
    const covered = blockUnits(mobile).flatMap((unit) =>
      unit.network.nodes.filter(({ op }) => op === "conv2d" || op === "dense"),
    );
    const layers = mobile.nodes.filter(({ op }) => op === "conv2d" || op === "dense");
    expect(covered.map(({ name }) => name)).toEqual(layers.map(({ name }) => name));
  });

  test.each(
    algorithms
      .filter(({ reconstruction }) => reconstruction !== undefined)
      .map((a) => [a.name, a] as const),
  )("%s comes nearer to the float network than rounding to nearest", async (_, algorithm) => {
    const nearest = await quantized(mse, snpe, { bits: 3, activationBits: 8 });
    const learned = await quantized(algorithm, snpe, { bits: 3, activationBits: 8 });
    expect(distance(learned.simulated)).toBeLessThan(distance(nearest.simulated));
    expect(learned.agreement.share).toBeGreaterThanOrEqual(63 / 64);
    // Rounded to one of the two neighbours: a step more than nearest at most.
    expect(learned.losses.length).toBeGreaterThan(0);
  });

  test("gives the same bits again, dropped activations included", async () => {
    const [a, b] = [await quantized(qdrop, snpe), await quantized(qdrop, snpe)];
    expect(a.losses).toEqual(b.losses);
    expect(a.tensors).toEqual(b.tensors);
  });
});

describe("coverage", () => {
  test("names every tensor that stays in float, and why", () => {
    const { network } = placeQuantizers(floatNetwork, academic, { weights: 4, activations: 4 });
    const found = new Map(
      unquantizedTensors(network).map(({ tensor, reason }) => [tensor, reason]),
    );
    expect(found.get("stem")).toMatch(/batch norm/);
    expect(found.get("s0.0.b.bn")).toMatch(/accumulator|graph rule/);
    expect(found.get("classifier")).toBe("the network's output");
    for (const { name } of network.nodes) {
      const quantizes = findNode(network, name).op === "quantize";
      const covered = network.nodes.some((n) => n.op === "quantize" && n.input === name);
      expect(quantizes || covered || found.has(name), name).toBe(true);
    }
  });

  test("a network without quantizers is an error", () => {
    expect(() => unquantizedTensors(floatNetwork)).toThrow(/nothing is quantized/);
  });
});
