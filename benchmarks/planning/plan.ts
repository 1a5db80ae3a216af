import { phasesOf, UnsupportedNetwork, unsupportedLevels } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { type Dataset, DEFAULT_RECONSTRUCTION, stepCount } from "../../pipelines/train/index.js";
import { engineIdentity, type Engine } from "../../pipelines/engine/index.js";
import { featureShapes, multiplications, quantizerOf } from "../../pipelines/network/index.js";
import type { Network } from "../../algorithms/network.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import type { CellConfig, Variant } from "../../results/schema.js";
import { buildCell, buildFloatNetwork, type CellParts } from "./cellParts.js";
import { runtimesOf } from "../../pipelines/deploy/index.js";
import { lookup } from "../lookup.js";
import { modelName, type Matrix } from "./matrix.js";
import { models } from "../models/index.js";
import type { OwnNetwork } from "../inputs/index.js";

/** Raised whenever the pipeline's own arithmetic changes, so that older results are not reused. */
export const NUMERICS_VERSION = 3;

export interface Cell {
  /** Hash of the configuration. */
  readonly id: string;
  readonly config: CellConfig;
  /** Rough cost in multiplications; see `pretrainCost`. */
  readonly cost: number;
  /** Cells with the same float training share it. */
  readonly pretrainKey: string;
  /** Cells whose effective quantization is the same share one training. */
  readonly trainingKey: string;
  /** Why the algorithm cannot do what the backend asks. */
  readonly unsupported?: string;
}

/** All cells of a matrix: models x blocks of (algorithms x backends x bits) x seeds. */
export function planCells(
  matrix: Matrix,
  dataset: Dataset,
  engine: Engine,
  own: OwnNetworks = new Map(),
): Cell[] {
  const cells = new Map<string, Cell>(); // overlapping blocks name a cell once
  let last: { readonly key: string; readonly structure: Structure } | undefined;
  for (const config of configurations(matrix, dataset, { engine, own })) {
    // Seeds follow one another and share everything but themselves.
    const key = JSON.stringify({ ...config, seed: 0 });
    if (last?.key !== key) last = { key, structure: structureOf(config, dataset) };
    const cell = planCell(config, dataset, last.structure);
    cells.set(cell.id, cell);
  }
  return [...cells.values()];
}

/** What a cell's configuration decides apart from its seed. */
interface Structure {
  readonly unsupported: string | undefined;
  readonly cost: number;
  /** Hash of the network with its quantizers. */
  readonly quantization: string;
}

function structureOf(config: CellConfig, dataset: Dataset): Structure {
  const parts = (() => {
    try {
      return buildCell(config, dataset);
    } catch (error) {
      if (error instanceof UnsupportedNetwork) return error;
      throw error;
    }
  })();
  if (parts instanceof UnsupportedNetwork)
    return { unsupported: `the network: ${parts.message}`, cost: 0, quantization: "none" };
  return {
    unsupported: unsupportedReason(config, parts) ?? missingLabels(dataset, parts),
    cost: costOf(config, dataset, parts),
    quantization: canonicalHash(parts.quantized),
  };
}

/** A model as cells name it. */
function identityOf(listed: Matrix["models"][number], own: OwnNetworks): CellConfig["model"] {
  if ("name" in listed) {
    const { name, version, defaultWidth } = lookup("model", listed.name, models);
    return { name, version, width: listed.width ?? defaultWidth };
  }
  const network = own.get(listed.file);
  if (network === undefined) throw new Error(`the network ${listed.file} was not read`);
  return { name: network.name, version: 1, width: 1, checksum: network.checksum };
}

/** Networks of a matrix that come from files, by file. */
export type OwnNetworks = ReadonlyMap<string, OwnNetwork>;

function* configurations(
  matrix: Matrix,
  dataset: Dataset,
  { engine, own }: { readonly engine: Engine; readonly own: OwnNetworks },
): Generator<CellConfig> {
  const chosen = <T extends { readonly name: string }>(
    kind: string,
    names: "all" | readonly string[],
    entries: readonly T[],
  ) => (names === "all" ? entries : names.map((name) => lookup(kind, name, entries)));
  for (const listed of matrix.models) {
    const model = identityOf(listed, own);
    for (const block of matrix.cells) {
      if (block.models?.includes(modelName(listed)) === false) continue;
      for (const bits of block.bits) {
        for (const algorithm of chosen("algorithm", block.algorithms, algorithms)) {
          for (const backend of chosen("backend", block.backends, backends)) {
            for (const [variant, hyperparameters] of variantsOf(block, matrix)) {
              for (let seed = 0; seed < matrix.seeds; seed++) {
                yield {
                  model,
                  dataset: { name: dataset.name, checksum: dataset.checksum },
                  algorithm: { name: algorithm.name, version: algorithm.version },
                  backend: { name: backend.name, version: backend.version },
                  bits,
                  ...(variant !== undefined && { variant }),
                  seed,
                  hyperparameters,
                  engine: engineIdentity(engine),
                  numerics: NUMERICS_VERSION,
                };
              }
            }
          }
        }
      }
    }
  }
}

/** Each variant of a block, with the hyperparameters that it changes. */
function variantsOf(
  { variants = [{}] }: Matrix["cells"][number],
  { hyperparameters }: Matrix,
): [Variant | undefined, Matrix["hyperparameters"]][] {
  return variants.map(({ quantizerWeightDecay, ...variant }) => [
    Object.keys(variant).length > 0 ? variant : undefined,
    quantizerWeightDecay === undefined
      ? hyperparameters
      : { ...hyperparameters, quantizerWeightDecay },
  ]);
}

export function planCell(
  config: CellConfig,
  dataset: Dataset,
  { unsupported, quantization, cost }: Structure = structureOf(config, dataset),
): Cell {
  const { model, hyperparameters, seed, engine, numerics } = config;
  const { batchSize, momentum, weightDecay, augmentation, pretrain } = hyperparameters;
  const { trainImages, testImages, labelSmoothing } = hyperparameters;
  const pretraining = {
    ...{ batchSize, momentum, weightDecay, augmentation, pretrain },
    ...(labelSmoothing !== undefined && { labelSmoothing }),
    ...(trainImages !== undefined && { trainImages }),
    ...(testImages !== undefined && { testImages }),
  };
  return {
    id: canonicalHash(config),
    config,
    cost: unsupported === undefined ? cost : 0,
    pretrainKey: canonicalHash({
      model,
      dataset: config.dataset,
      pretraining,
      seed,
      engine,
      numerics,
    }),
    trainingKey: canonicalHash({
      quantization,
      algorithm: config.algorithm,
      ...(config.variant !== undefined && { variant: config.variant }),
      model,
      dataset: config.dataset,
      hyperparameters,
      seed,
      engine,
      numerics,
    }),
    ...(unsupported !== undefined && { unsupported }),
  };
}

/** Why a cell cannot be run, or nothing. */
function unsupportedReason(config: CellConfig, parts: CellParts): string | undefined {
  const { algorithm, backend, quantized } = parts;
  for (const role of ["weights", "activations"] as const) {
    const { min, max } = backend.bitWidths[role];
    const wanted = config.bits[role];
    if (wanted < min || wanted > max) {
      const range = min === max ? String(min) : `${String(min)} to ${String(max)}`;
      return `${backend.title} holds ${role} of ${range} bits, not ${String(wanted)}`;
    }
  }
  for (const site of quantized.sites) {
    const reason =
      unsupportedLevels(quantizerOf(algorithm, site), site) ?? algorithm.unsupported?.(site);
    if (reason !== undefined) return `${site.role} quantization: ${reason}`;
  }
  return undefined;
}

/** Training images without labels are only good for calibration. */
function missingLabels(
  { train }: Dataset,
  { algorithm, quantized }: CellParts,
): string | undefined {
  const learns = phasesOf(algorithm, quantized.network).length > 0 || algorithm.bitAllocation;
  return learns && train.labels.length === 0 && train.count > 0
    ? "it learns from labels, which the training images do not have"
    : undefined;
}

/**
 * Rough costs in multiplications, which the scheduler scales by what it measures. Factors are from
 * cells of ResNet-8 and MobileNetV2, in evaluations of the same images on the engine.
 */
export function pretrainCost(config: CellConfig, dataset: Dataset): number {
  const { pretrain, batchSize } = config.hyperparameters;
  const isTrained = config.model.checksum !== undefined;
  const steps = isTrained ? 0 : stepCount(pretrain, dataset.train.count, batchSize);
  const images = FLOAT_TRAINING * steps * batchSize + dataset.test.count;
  return imageCost(buildFloatNetwork(config, dataset)) * images + START_COST;
}

function costOf(
  { hyperparameters }: CellConfig,
  dataset: Dataset,
  { algorithm, backend, quantized }: CellParts,
): number {
  const { quantizedTraining, batchSize, reconstruction = DEFAULT_RECONSTRUCTION } = hyperparameters;
  const phases = phasesOf(algorithm, quantized.network);
  const steps =
    phases.length > 0 ? stepCount(quantizedTraining, dataset.train.count, batchSize) : 0;
  const reconstructed =
    algorithm.reconstruction === undefined ? 0 : reconstruction.steps * reconstruction.batchSize;
  const deployed = runtimesOf(backend).reduce((sum, name) => sum + (RUNTIMES[name] ?? 2), 0);
  const lookedUp = quantized.sites
    .filter(({ role }) => role === "activation")
    .filter((site) => quantizerOf(algorithm, site).levels !== undefined)
    .reduce((most, { scheme }) => Math.max(most, scheme.bitWidth), 0);
  const images =
    QUANTIZED_TRAINING * steps * batchSize +
    RECONSTRUCTION * reconstructed +
    (1 + deployed + LOOKED_UP_BIT * lookedUp) * dataset.test.count;
  return imageCost(quantized.network) * images + START_COST;
}

const FLOAT_TRAINING = 4;
const QUANTIZED_TRAINING = 6.5;
/** Of all layers or blocks together, each of which has its own steps. */
const RECONSTRUCTION = 11;
const RUNTIMES: Readonly<Record<string, number>> = {
  ...{ onnxruntime: 1.6, integers: 2.5, onnxruntimeWeb: 3.5, litert: 1.8 },
};
/** Levels without equal steps are searched bit by bit. */
const LOOKED_UP_BIT = 2.5;

/** Multiplications, and memory traffic, which decides in narrow and depthwise layers. */
function imageCost(network: Network): number {
  const shapes = featureShapes(network);
  const counts = multiplications(network);
  return network.nodes.reduce((sum, node) => {
    if (node.op !== "conv2d") return sum;
    const [height = 1, width = 1, channels = 1] = shapes.get(node.name) ?? [];
    const inputs = shapes.get(node.input)?.at(-1) ?? 1;
    const [read, written] = [partOf(inputs), partOf(channels)];
    // Images of few channels are read as they are; a depthwise filter reads only its own.
    const products =
      node.depthwise || inputs < BLOCK / 4
        ? ((counts.get(node.name) ?? 0) * written) / channels
        : ((counts.get(node.name) ?? 0) * read * written * together(read, written)) /
          (inputs * channels);
    return sum + products + COST_OF_OUTPUT * height * width * written;
  }, 0);
}

/** Engines fill channels up to whole blocks, or to a part of one that images share. */
const BLOCK = 16;
const partOf = (channels: number): number =>
  [BLOCK / 4, BLOCK / 2].find((part) => channels <= part) ?? Math.ceil(channels / BLOCK) * BLOCK;
/** How many images a convolution takes as one, each of which is multiplied by all filters. */
const together = (...parts: readonly number[]): number =>
  Math.max(1, ...parts.map((part) => BLOCK / part));
/** What one value of a convolution's result costs on its way through the network, in products. */
const COST_OF_OUTPUT = 80;
/** Measuring latency and writing files: almost two seconds. */
const START_COST = 6.5e10;
/** Seconds per unit of cost before anything was measured. */
export const SECONDS_PER_COST = 2.2e-11;
