import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { unsupportedLevels, type Algorithm } from "../../../algorithms/algorithm.js";
import { algorithms } from "../../../algorithms/index.js";
import { logarithmic } from "../../../algorithms/logarithmic.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { backends } from "../../../backends/index.js";
import { litert } from "../../../backends/litert.js";
import { nnie } from "../../../backends/nnie.js";
import { onnxQnn } from "../../../backends/onnxQnn.js";
import { pplW8A16 } from "../../../backends/pplW8A16.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { calibrate, quantize as quantizeNetwork } from "../../../pipelines/quantize/index.js";
import {
  float32,
  loadEngine,
  type Engine,
  type StepTensors,
} from "../../../pipelines/engine/index.js";
import { accuracyOf, agreementOf, evaluate } from "../../../pipelines/train/evaluate.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, freezeFloat, type FrozenNetwork } from "../../../pipelines/freeze/index.js";
import type { Hyperparameters } from "../../../pipelines/train/hyperparameters.js";
import {
  asDeployed,
  foldBatchNorm,
  inheritParameters,
  initialParameters,
  placeQuantizers,
  unquantized,
  withFilters,
} from "../../../pipelines/network/index.js";
import type { Network } from "../../../algorithms/network.js";
import { train } from "../../../pipelines/train/train.js";
import { preciseKernels } from "../../../pipelines/session.js";
import { installedEngines } from "../../engines.js";
import { TOY_VISITS } from "../../searching.js";
import { deployedLogits, toyDataset } from "../../support.js";

const dataset = toyDataset();
const hyperparameters = {
  batchSize: 8,
  momentum: 0.9,
  weightDecay: 1e-4,
  augmentation: { shift: 0, flip: false },
  pretrain: { epochs: 4, learningRate: 0.05 },
  calibrationBatches: 2,
  quantizedTraining: { epochs: 1, learningRate: 0.01 },
  reconstruction: { images: 16, batchSize: 8, steps: 10, learningRate: 0.03 },
  search: { visits: TOY_VISITS, heldOut: 24, fineTuning: { steps: 1, learningRate: 0.001 } },
} satisfies Hyperparameters;
const options = { inputShape: dataset.shape, classes: dataset.classes, width: 4 };
const floatNetwork = resnet8.build(options);
const onnx = await loadEngine("onnxruntime");
const others = installedEngines.filter(([, { name }]) => name !== "onnxruntime");

function pretrain(engine: Engine, network = floatNetwork, epochs = 4, seed = 0) {
  return train(engine, {
    network,
    tensors: initialParameters(network, seed),
    dataset,
    hyperparameters,
    schedule: { ...hyperparameters.pretrain, epochs },
    seed,
    name: "pretrain",
  });
}
const checkpoint = await pretrain(onnx);
const mobile = mobileNetV2.build(options);
const mobileCheckpoint = await pretrain(onnx, mobile, 2);

async function quantize(
  algorithm: Algorithm,
  profile: BackendProfile,
  { bits = 4, engine = onnx, float = floatNetwork, parameters = checkpoint.tensors } = {},
) {
  const rewritten = algorithm.rewrite?.(float) ?? float;
  const { batchNorm } = profile;
  const network = foldBatchNorm(rewritten, batchNorm);
  const placed = placeQuantizers(network, profile, { weights: bits, activations: bits });
  const inherited = inheritParameters(rewritten, parameters, { algorithm, seed: 0 });
  const common = { dataset, hyperparameters };
  const values = await calibrate(engine, {
    ...placed,
    algorithm,
    parameters: inherited,
    ...common,
  });
  const result = await quantizeNetwork(engine, {
    ...{ algorithm, floatNetwork: float, checkpoint: parameters, rewritten, batchNorm },
    ...{ quantized: placed, ...common, seed: 0 },
  });
  const { sites, filters = {} } = result;
  const quantized = withFilters({ network: placed.network, sites }, filters);
  return { quantized, before: { ...inherited, ...values }, result };
}

/** Why an algorithm cannot run on a backend at 4 bits, or nothing. */
function unsupported(algorithm: Algorithm, profile: BackendProfile): string | undefined {
  const { weights, activations } = profile.bitWidths;
  if (weights.min > 4 || activations.min > 4) return "bits";
  const rewritten = algorithm.rewrite?.(floatNetwork) ?? floatNetwork;
  const { network, sites } = placeQuantizers(foldBatchNorm(rewritten, profile.batchNorm), profile, {
    weights: 4,
    activations: 4,
  });
  return sites
    .map((site) => {
      const quantizer = site.role === "weight" ? algorithm.weight : algorithm.activation;
      return unsupportedLevels(quantizer, site) ?? algorithm.unsupported?.(site, network);
    })
    .find((reason) => reason !== undefined);
}

describe("float training", () => {
  test("learns", async () => {
    const logits = await evaluate(onnx, floatNetwork, {
      tensors: checkpoint.tensors,
      dataset,
      mode: () => ({ quantize: unquantized }),
    });
    expect(accuracyOf(logits, dataset)).toBeGreaterThan(0.9);
    expect(checkpoint.losses.at(-1)).toBeLessThan((checkpoint.losses[0] ?? 0) / 2);
  });

  test("is bit-identical when repeated, and another seed is another training", async () => {
    const [again, other] = [await pretrain(onnx), await pretrain(onnx, floatNetwork, 4, 1)];
    expect(again.losses).toEqual(checkpoint.losses);
    expect(again.tensors).toEqual(checkpoint.tensors);
    expect(other.losses).not.toEqual(checkpoint.losses);
  });

  test.each([
    ["ResNet-8", floatNetwork, 4],
    ["MobileNetV2", mobile, 1],
  ])("of %s follows the same path on other engines", async (_, network, steps) => {
    const epochs = steps / 8;
    const a = await pretrain(onnx, network, epochs);
    expect(a.losses).toHaveLength(steps);
    for (const [title, engine] of others) {
      const b = await pretrain(engine, network, epochs);
      a.losses.forEach((loss, i) => {
        expect(loss, title).toBeCloseTo(b.losses[i] ?? NaN, 3);
      });
    }
  });

  test("stops at the first loss that is not finite and says where", async () => {
    const result = await train(onnx, {
      network: floatNetwork,
      tensors: initialParameters(floatNetwork, 0),
      dataset,
      hyperparameters,
      schedule: { epochs: 4, learningRate: 1e30 },
      seed: 0,
      name: "pretrain",
    });
    expect(result.divergedAt).toBeGreaterThan(0);
    expect(result.losses).toHaveLength((result.divergedAt ?? 0) + 1);
  });

  test("needs at least one batch of images", async () => {
    const tiny = { ...dataset, train: { ...dataset.train, count: 4 } };
    const training = train(onnx, {
      network: floatNetwork,
      tensors: checkpoint.tensors,
      dataset: tiny,
      hyperparameters,
      schedule: hyperparameters.pretrain,
      seed: 0,
      name: "pretrain",
    });
    await expect(training).rejects.toThrow(/batch size 8 exceeds the 4 training images/);
  });
});

describe("quantized training", () => {
  test.each(
    algorithms.filter(
      (algorithm) =>
        algorithm.weight.learned.length + algorithm.activation.learned.length > 0 &&
        algorithm.reconstruction === undefined && // keeps what it starts with where that is best
        unsupported(algorithm, onnxruntime) === undefined,
    ),
  )("$name changes every value that it learns", async (algorithm) => {
    const { quantized, before, result } = await quantize(algorithm, onnxruntime);
    expect(result.divergedAt).toBeUndefined();
    for (const site of quantized.sites) {
      const quantizer = site.role === "weight" ? algorithm.weight : algorithm.activation;
      for (const name of quantizer.learned) {
        const key = `${site.id}:${name}`;
        // A zero point moves only when values are clipped, so it may stay for a few steps.
        if (key in before && !["zeroPoint", "beta", "lower"].includes(name)) {
          expect(result.tensors[key]?.data, key).not.toEqual(before[key]?.data);
        }
      }
    }
  });

  test.each(others)("starts on the same numbers on %s", async (_, engine) => {
    const [a, b] = [await quantize(lsq, academic), await quantize(lsq, academic, { engine })];
    // Later steps differ wherever float noise moves one value over a rounding border.
    expect(a.result.losses[0]).toBeCloseTo(b.result.losses[0] ?? NaN, 4);
  });

  test("runs an algorithm's phases in order, with their own losses and what they may change", async () => {
    const traced: string[] = [];
    const phased: Algorithm = {
      ...lsq,
      phases: [
        {
          name: "scales",
          share: 0.5,
          trains: ["quantizers"],
          loss: ({ logits, teacherOutput, quantizers }) => {
            traced.push(`${String(quantizers.size)} quantizers`);
            return tf.mean<tf.Scalar>(tf.squaredDifference(logits, teacherOutput("classifier")));
          },
        },
        { name: "weights", share: 0.5, trains: ["weights"] },
      ],
    };
    const { quantized, before, result } = await quantize(phased, academic);
    expect(traced).toEqual([`${String(quantized.sites.length)} quantizers`]); // recorded once
    expect(result.losses).toHaveLength(8);
    for (const name of ["stem/kernel", "stem/kernel:scale"]) {
      expect(result.tensors[name]?.data, name).not.toEqual(before[name]?.data);
    }
  });

  test("gives a loss the teacher's logits, also where the backend quantizes what the network ends with", async () => {
    const distilled: Algorithm = {
      ...lsq,
      phases: [
        {
          name: "distill",
          share: 1,
          trains: ["weights", "quantizers"],
          loss: ({ logits, teacherLogits }) =>
            tf.mean<tf.Scalar>(tf.squaredDifference(logits, teacherLogits())),
        },
      ],
    };
    const { quantized, result } = await quantize(distilled, litert);
    expect(quantized.network.nodes.at(-1)?.name).toBe("classifier/output");
    expect(result.losses.at(-1)).toBeLessThan(result.losses[0] ?? NaN);
  });

  test("can reconstruct a network block by block from what its float network gives", async () => {
    const byBlock: Algorithm = {
      ...lsq,
      phases: ({ nodes }) =>
        nodes
          .filter(({ op }) => op === "add")
          .map(({ name }, _, blocks) => ({
            name,
            share: 1 / blocks.length,
            trains: ["weights", "quantizers"] as const,
            only: (tensor: string) => tensor.startsWith(name.replace(".add", "")),
            loss: ({ output, teacherOutput }) =>
              tf.mean<tf.Scalar>(tf.squaredDifference(output(name), teacherOutput(name))),
          })),
    };
    const { before, result } = await quantize(byBlock, academic);
    const changed = Object.keys(before).filter(
      (name) => result.tensors[name]?.data.join() !== before[name]?.data.join(),
    );
    expect(changed).toEqual(
      expect.arrayContaining(["s0.0.a/kernel", "s1.0.d/kernel:scale", "s2.0.b/kernel"]),
    );
    expect(changed).not.toContain("stem/kernel");
    expect(changed).not.toContain("classifier/kernel");
  });

  test("takes over a network that the algorithm rewrote", async () => {
    const rewriting: Algorithm = {
      ...minMax,
      rewrite: (network: Network) => ({
        nodes: network.nodes.map((node) =>
          node.op === "relu" ? { ...node, op: "relu6" as const } : node,
        ),
      }),
    };
    const { quantized } = await quantize(rewriting, academic);
    expect(quantized.network.nodes.some(({ op }) => op === "relu")).toBe(false);
  });
});

/** Logits of a network on onnxruntime, with the kernels that compute the same on every processor. */
const computedAnywhere = (frozen: FrozenNetwork) =>
  deployedLogits(exportOnnx(frozen, "cell"), dataset, preciseKernels(frozen));

describe("deployment", () => {
  test("the float export computes what the float network does", async () => {
    const model = exportOnnx(freezeFloat(floatNetwork, checkpoint.tensors), "float");
    const simulated = await evaluate(onnx, floatNetwork, {
      tensors: checkpoint.tensors,
      dataset,
      mode: () => ({ quantize: unquantized }),
    });
    const { share, largestDifference } = agreementOf(
      simulated,
      await deployedLogits(model, dataset, "shipped"),
      4,
    );
    expect(share).toBe(1);
    expect(largestDifference).toBeLessThan(1e-4);
  });

  const supported = backends.flatMap((profile) =>
    algorithms
      .filter(
        (algorithm) =>
          // All pairs take too long here; formats are shared, and every algorithm meets two.
          (profile.name === academic.name ||
            profile.name === onnxruntime.name ||
            ["lsq", "minMax", "dsq", "pactMqbench"].includes(algorithm.name)) &&
          unsupported(algorithm, profile) === undefined,
      )
      .map((algorithm) => [profile, algorithm] as const),
  );
  const everyCell = supported.map(([profile, algorithm]) => ({
    label: `ResNet-8, ${algorithm.name}, ${profile.name}, 4 bits`,
    ...{ float: floatNetwork, parameters: checkpoint.tensors, profile, algorithm, bits: 4 },
  }));
  const depthwise = [academic, onnxruntime].flatMap((profile) =>
    [4, 8].map((bits) => ({
      label: `MobileNetV2, minMax, ${profile.name}, ${String(bits)} bits`,
      ...{ float: mobile, parameters: mobileCheckpoint.tensors, profile, algorithm: minMax, bits },
    })),
  );
  const onlyAt8 = { bits: 8, float: floatNetwork, parameters: checkpoint.tensors };
  const eightBits = [
    { label: "ResNet-8, logarithmic, nnie", ...onlyAt8, profile: nnie, algorithm: logarithmic },
    { label: "ResNet-8, lsq, onnxQnn", ...onlyAt8, profile: onnxQnn, algorithm: lsq },
    { label: "ResNet-8, minMax, pplW8A16", ...onlyAt8, profile: pplW8A16, algorithm: minMax },
  ];
  const cells = [...everyCell, ...depthwise, ...eightBits];
  test.each([
    [academic, 7],
    [onnxruntime, 7],
    [onnxruntime, 6.0007],
  ] as const)(
    "on $0.name a ReLU6 clips at 6 though the integers behind it reach to $1",
    async (profile, reach) => {
      const cell = { bits: 8, float: mobile, parameters: mobileCheckpoint.tensors };
      const { quantized, result } = await quantize(minMax, profile, cell);
      const beyond = Object.keys(result.tensors)
        .filter((name) =>
          /relu6\/output:scale|depthwise\/input:scale|project\/input:scale/.test(name),
        )
        .map((name) => [name, float32([reach / 255], [])] as const);
      expect(beyond.length).toBeGreaterThan(10);
      const tensors = { ...result.tensors, ...Object.fromEntries(beyond) };
      const mode = (current: StepTensors) => asDeployed(minMax, quantized, current);
      const simulated = await evaluate(onnx, quantized.network, { tensors, dataset, mode });
      const frozen = await freeze(onnx, quantized, { algorithm: minMax, tensors });
      const deployed = await computedAnywhere(frozen);
      expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(62 / 64);
    },
  );

  test.each(cells)(
    "$label: the exported network predicts what the simulation does",
    async (cell) => {
      const { algorithm, profile } = cell;
      const { quantized, result } = await quantize(algorithm, profile, cell);
      const simulated = await evaluate(onnx, quantized.network, {
        tensors: result.tensors,
        dataset,
        mode: (tensors) => asDeployed(algorithm, quantized, tensors),
      });
      const frozen = await freeze(onnx, quantized, { algorithm, tensors: result.tensors });
      const deployed = await computedAnywhere(frozen);
      // One image of 64 may fall on a rounding border.
      expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(63 / 64);
    },
  );
});
