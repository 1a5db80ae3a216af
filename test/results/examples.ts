import { canonicalHash } from "../../results/canonicalHash.js";
import type { NetworkCost } from "../../results/costSchema.js";
import type { CellConfig, CellResult, CompletedCell, Environment } from "../../results/schema.js";

export function cellConfig(overrides: Partial<CellConfig> = {}): CellConfig {
  return {
    model: { name: "resnet8", version: 1, width: 8 },
    dataset: { name: "toy", checksum: "abc" },
    algorithm: { name: "lsq", version: 1 },
    backend: { name: "onnxruntime", version: 1 },
    bits: { weights: 4, activations: 4 },
    seed: 0,
    hyperparameters: {
      batchSize: 8,
      momentum: 0.9,
      weightDecay: 0.0001,
      augmentation: { shift: 0, flip: false },
      pretrain: { epochs: 1, learningRate: 0.1 },
      calibrationBatches: 1,
      quantizedTraining: { epochs: 1, learningRate: 0.01 },
    },
    engine: { name: "onnxruntime", version: "1.30.0" },
    numerics: 1,
    ...overrides,
  };
}

export function completedCell(overrides: Partial<CellConfig> = {}, deployed = 0.87): CompletedCell {
  const config = cellConfig(overrides);
  return {
    id: canonicalHash(config),
    config,
    state: "completed",
    accuracy: { float: 0.89, simulated: deployed + 0.0001, deployed },
    agreement: { share: 0.9999, largestDifference: 0.25 },
    runtimes: {
      onnxruntime: {
        accuracy: deployed,
        agreement: { share: 0.9999, largestDifference: 0.25 },
        equalLogits: 1,
        modelBytes: 32611,
      },
      integers: {
        accuracy: deployed,
        agreement: { share: 0.9999, largestDifference: 0.25 },
        equalLogits: 1,
        modelBytes: 40000,
      },
      litert: { unsupported: "its weights are symmetric" },
    },
    testImages: 10_000,
    classes: 10,
    losses: [1.5, 0.5],
    batchAccuracies: [0.5, 0.875],
    weightHash: "beef",
    size: { floatFileBytes: 84216, quantizedFileBytes: 32611, weightBytes: 12000 },
    cost: { float: cost(1024), quantized: cost(16) },
    inspection: {
      images: 128,
      sites: [
        {
          id: "image/output",
          low: -1,
          high: 2,
          clipped: 0,
          sqnr: 30,
          differing: 0,
          largestSteps: 0,
        },
        { id: "stem/kernel", low: -0.5, high: 0.4, clipped: 0.01, sqnr: 18.5 },
      ],
    },
    sites: [
      { id: "stem/kernel", role: "weight", bitWidth: 8, scheme: "int8" },
      { id: "image/output", role: "activation", bitWidth: 8, scheme: "uint8" },
    ],
    unquantized: [{ tensor: "stem", reason: "batch norm reads it" }],
    measured: {
      latency: {
        float: {
          medianMs: 0.25,
          madMs: 0.01,
          quantilesMs: [0.1, 0.11, 0.123, 0.13, 0.2],
          samples: 100,
        },
        quantized: {
          medianMs: 0.123,
          madMs: 0.01,
          quantilesMs: [0.1, 0.11, 0.123, 0.13, 0.2],
          samples: 100,
        },
      },
      operators: {
        float: { Conv: { count: 8, microseconds: 200 } },
        quantized: { QLinearConv: { count: 8, microseconds: 100 } },
      },
      runtimes: {
        onnxruntime: { imagesPerSecond: 4000, peakBytes: 20_000_000 },
        integers: { imagesPerSecond: 2000, peakBytes: 30_000_000 },
      },
      seconds: { evaluation: 2 },
    },
  };
}

const cost = (bitsPerMac: number): NetworkCost => ({
  macs: 1000,
  bitOps: 1000 * bitsPerMac,
  activationBytes: 64 * bitsPerMac,
  hardware: {
    cpuSimd: { cycles: 8 * bitsPerMac },
    mpic:
      bitsPerMac > 64
        ? { unsupported: "stem: it has no float arithmetic" }
        : { cycles: 400, microjoules: 0.01 },
    eyeriss: { microjoules: bitsPerMac / 100 },
  },
});

export function failedCell(reason: string, overrides: Partial<CellConfig> = {}): CellResult {
  const config = cellConfig({ algorithm: { name: "pact", version: 1 }, ...overrides });
  return { id: canonicalHash(config), config, state: "failed", reason };
}

export const exampleEnvironment: Environment = {
  quantbench: "0.1.0",
  node: "v20",
  platform: "linux x64",
  cpu: "a CPU",
  cpuFeatures: ["avx2"],
  cores: 2,
  memoryBytes: 4 * 1024 ** 3,
  engines: { onnxruntime: "1.30.0" },
  commit: null,
};
