import { describe, expect, test } from "vitest";
import type { Algorithm, QuantizerSite } from "../../../algorithms/algorithm.js";
import { adaRound } from "../../../algorithms/adaRound.js";
import { algorithms } from "../../../algorithms/index.js";
import { channelwiseSize } from "../../../algorithms/channelwiseSize.js";
import { hawq } from "../../../algorithms/hawq.js";
import { cheapestHarm, type Choice } from "../../../algorithms/search/knapsack.js";
import { minMax } from "../../../algorithms/minMax.js";
import { mse } from "../../../algorithms/mse.js";
import { qdrop } from "../../../algorithms/qdrop.js";
import { academic } from "../../../backends/academic.js";
import { BATCH_NORM_STRATEGIES, type BackendProfile } from "../../../backends/backend.js";
import { mpicCycles, MPIC_JOULE_PER_CYCLE } from "../../../backends/hardware/mpic.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe } from "../../../backends/snpe.js";
import { mobileNetV2, resnet20, resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine, randomStream, type Engine } from "../../../pipelines/engine/index.js";
import { accuracyOf, agreementOf, evaluate, train } from "../../../pipelines/train/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, groupChannels } from "../../../pipelines/freeze/index.js";
import {
  asDeployed,
  blockUnits,
  findNode,
  foldBatchNorm,
  initialParameters,
  layerUnits,
  multiplications,
  placeQuantizers,
  unquantized,
  unquantizedTensors,
} from "../../../pipelines/network/index.js";
import { channelBits, quantize } from "../../../pipelines/quantize/quantize.js";
import { installedEngines } from "../../engines.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { deployedLogits, toyDataset } from "../../support.js";

const dataset = toyDataset();
const hyperparameters = {
  batchSize: 8,
  momentum: 0.9,
  weightDecay: 1e-4,
  augmentation: { shift: 0, flip: false },
  pretrain: { epochs: 6, learningRate: 0.05 },
  calibrationBatches: 2,
  quantizedTraining: { epochs: 2, learningRate: 0.01 },
  reconstruction: { images: 32, batchSize: 8, steps: 40, learningRate: 0.03 },
};
const options = { inputShape: dataset.shape, classes: dataset.classes, width: 4 };
const floatNetwork = resnet8.build(options);
const onnx = await loadEngine("onnxruntime");
const { tensors: checkpoint } = await train(onnx, {
  network: floatNetwork,
  tensors: initialParameters(floatNetwork, 0),
  dataset,
  hyperparameters,
  schedule: hyperparameters.pretrain,
  seed: 0,
  name: "pretrain",
});

interface Cell {
  readonly bits?: number;
  readonly activationBits?: number;
  readonly batchNorm?: (typeof BATCH_NORM_STRATEGIES)[number];
  readonly engine?: Engine;
}

async function quantized(
  algorithm: Algorithm,
  profile: BackendProfile,
  { bits = 4, activationBits = bits, batchNorm = profile.batchNorm, engine = onnx }: Cell = {},
) {
  const rewritten = algorithm.rewrite?.(floatNetwork) ?? floatNetwork;
  const placed = placeQuantizers(foldBatchNorm(rewritten, batchNorm), profile, {
    weights: bits,
    activations: activationBits,
  });
  const result = await quantize(engine, {
    algorithm,
    floatNetwork,
    checkpoint,
    rewritten,
    batchNorm,
    quantized: placed,
    dataset,
    hyperparameters,
    seed: 0,
  });
  const network = { network: placed.network, sites: result.sites };
  const simulated = await evaluate(engine, placed.network, {
    tensors: result.tensors,
    dataset,
    mode: (tensors) => asDeployed(algorithm, network, tensors),
  });
  const frozen = await freeze(engine, network, { algorithm, tensors: result.tensors });
  const deployed = await deployedLogits(
    exportOnnx(frozen, "cell"),
    dataset,
    preciseKernels(frozen),
  );
  return { ...result, network, simulated, agreement: agreementOf(simulated, deployed, 4) };
}

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

describe("bits by sensitivity", () => {
  test("the choice within a budget is the best of all", () => {
    const random = randomStream(3, "knapsack");
    for (let round = 0; round < 30; round++) {
      const choices: Choice[][] = Array.from({ length: 5 }, () => {
        const size = 1 + random.integer(9);
        return [2, 4, 8].map((bitWidth) => ({
          bitWidth,
          cost: size * bitWidth,
          harm: random.uniform() / bitWidth,
        }));
      });
      const total = (list: readonly Choice[], key: "cost" | "harm") =>
        list.reduce((sum, choice) => sum + choice[key], 0);
      const budget = total(
        choices.map((options) => options[1] as Choice),
        "cost",
      );
      const all = choices.reduce<Choice[][]>(
        (combinations, options) =>
          combinations.flatMap((chosen) => options.map((option) => [...chosen, option])),
        [[]],
      );
      const best = Math.min(
        ...all.filter((list) => total(list, "cost") <= budget).map((list) => total(list, "harm")),
      );
      const found = cheapestHarm(choices, budget);
      expect(total(found, "harm")).toBeCloseTo(best, 12);
      expect(total(found, "cost")).toBeLessThanOrEqual(budget);
    }
    expect(() => cheapestHarm([[{ bitWidth: 2, cost: 5, harm: 1 }]], 4)).toThrow(/budget of 4/);
  });

  test("HAWQ stays within the size of the uniform widths and mixes them", async () => {
    const { sites } = await quantized(hawq, onnxruntime);
    const inner = sites.filter(({ role }) => role === "weight").slice(1, -1);
    const size = (bits: (site: (typeof inner)[number]) => number) =>
      inner.reduce((sum, site) => sum + site.shape.reduce((a, b) => a * b, 1) * bits(site), 0);
    expect(size(({ scheme }) => scheme.bitWidth)).toBeLessThanOrEqual(size(() => 4));
    expect(new Set(inner.map(({ scheme }) => scheme.bitWidth)).size).toBeGreaterThan(1);
  });
});

describe("channel-wise bits", () => {
  test("end as one width for each channel, which the deployed network has", async () => {
    const { sites, tensors, agreement } = await quantized(channelwiseSize, onnxruntime, {
      bits: 8,
    });
    const widths = sites
      .filter(({ role }) => role === "weight")
      .flatMap((site) => channelBits(channelwiseSize, site, tensors) ?? []);
    for (const width of widths) expect([2, 4, 8]).toContain(width);
    expect(agreement.share).toBeGreaterThanOrEqual(63 / 64);
  });

  test("are exported as one convolution for each width, which computes the same", async () => {
    const cell = await quantized(channelwiseSize, onnxruntime, { bits: 8 });
    const { network, tensors, simulated } = cell;
    const frozen = await freeze(onnx, network, { algorithm: channelwiseSize, tensors });
    // Widths for every channel of every layer, in a mixed order; the weights fit 8 bits anyway.
    const widths = new Map(
      network.sites
        .filter(({ role }) => role === "weight")
        .map(({ id, shape, channelAxis }) => [
          id,
          Array.from({ length: shape[channelAxis] ?? 1 }, (_, i) => [8, 2, 4, 8][i % 4] ?? 8),
        ]),
    );
    const wide = (site: QuantizerSite) => ({ ...site, scheme: { ...site.scheme, bitWidth: 8 } });
    const grouped = groupChannels(frozen, widths);
    const names = grouped.network.nodes.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["s0.0.a.w2", "s0.0.a.w4", "s0.0.a.w8"]));
    // s0.0.a is read by s0.0.b alone, whose weights are reordered; the stem also by an add.
    const permuted = grouped.network.nodes.filter(({ op }) => op === "permuteChannels");
    expect(permuted.map(({ name }) => name)).toContain("stem");
    expect(permuted.map(({ name }) => name)).not.toContain("s0.0.a");
    const model = exportOnnx({ ...grouped, sites: grouped.sites.map(wide) }, "grouped");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(63 / 64);
    const plain = exportOnnx(frozen, "plain");
    expect(await deployedLogits(plain, dataset, preciseKernels(frozen))).toEqual(deployed);
  });

  // Golden values of the MPIC model for ResNet-8 of width 16 at 32x32x3.
  test.each([
    [8, 8, 5.95e6, 128.2e-6],
    [8, 4, 5.43e6, 117.0e-6],
    [8, 2, 5.0e6, 107.7e-6],
    [4, 4, 3.57e6, 76.9e-6],
    [2, 2, 1.92e6, 41.4e-6],
  ])("a%iw%i takes so many cycles and so much energy", (activations, weights, cycles, joule) => {
    const network = resnet8.build({ inputShape: [32, 32, 3], classes: 10, width: 16 });
    const macs = [...multiplications(network).values()].reduce((a, b) => a + b, 0);
    const found = mpicCycles(macs, activations, weights);
    expect(found / cycles).toBeCloseTo(1, 2);
    expect((found * MPIC_JOULE_PER_CYCLE) / joule).toBeCloseTo(1, 2);
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
