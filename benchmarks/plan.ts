import {
  phasesOf,
  unsupportedLevels,
  type Algorithm,
  type Quantizer,
} from "../algorithms/algorithm.js";
import { algorithms } from "../algorithms/index.js";
import { gridsFrom, observers } from "../algorithms/observers/index.js";
import { GRAPH_RULES, type BackendProfile, type BatchNormStrategy } from "../backends/backend.js";
import { backends } from "../backends/index.js";
import { limitDataset, type Dataset } from "../pipelines/data.js";
import { engineIdentity, type Engine } from "../pipelines/engine/index.js";
import { DEFAULT_RECONSTRUCTION, stepCount } from "../pipelines/hyperparameters.js";
import { foldBatchNorm } from "../pipelines/network/foldBatchNorm.js";
import { featureShapes, multiplications, type Network } from "../pipelines/network/network.js";
import { placeQuantizers, type QuantizedNetwork } from "../pipelines/network/placeQuantizers.js";
import { canonicalHash } from "../results/canonicalHash.js";
import { quantizerOf } from "../pipelines/quantizers.js";
import type { CellConfig, Variant } from "../results/schema.js";
import { datasets } from "./datasets/index.js";
import { lookup } from "./lookup.js";
import type { Matrix } from "./matrix.js";
import { models } from "./models/index.js";

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

/** Loads and cuts a matrix's data set. */
export async function loadDataset(
  name: string,
  directory: string,
  limits: Parameters<typeof limitDataset>[1],
): Promise<Dataset> {
  return limitDataset(await lookup("dataset", name, datasets).load(directory), limits);
}

/** For a plan that is not run: what is known of a data set whose files are not there. */
export async function loadOrDeclare(
  ...[name, directory, limits]: Parameters<typeof loadDataset>
): Promise<Dataset> {
  try {
    return await loadDataset(name, directory, limits);
  } catch (error) {
    const declared = lookup("dataset", name, datasets).declared?.();
    if (declared === undefined) throw error;
    return limitDataset(declared, limits);
  }
}

/** What a cell's configuration names, put together. */
export interface CellParts {
  readonly algorithm: Algorithm;
  readonly backend: BackendProfile;
  readonly floatNetwork: Network;
  /** What the algorithm makes of it, before batch norm is folded. */
  readonly rewritten: Network;
  readonly batchNorm: BatchNormStrategy;
  /** Before placing quantizers. */
  readonly deployable: Network;
  readonly quantized: QuantizedNetwork;
}

const networks = new Map<string, Network>();

/** The same network for the same configuration, so that what is known of it stays known. */
export function buildFloatNetwork(config: CellConfig, dataset: Dataset): Network {
  const model = lookup("model", config.model.name, models);
  const { shape: inputShape, classes } = dataset;
  const key = JSON.stringify([config.model, inputShape, classes]);
  const network =
    networks.get(key) ?? model.build({ inputShape, classes, width: config.model.width });
  networks.set(key, network);
  return network;
}

export function buildCell(config: CellConfig, dataset: Dataset): CellParts {
  const { variant } = config;
  const algorithm = startingFrom(
    lookup("algorithm", config.algorithm.name, algorithms),
    variant?.initialization,
  );
  const profile = lookup("backend", config.backend.name, backends);
  const backend =
    variant?.graph === undefined ? profile : { ...profile, graph: GRAPH_RULES[variant.graph] };
  const batchNorm = variant?.batchNorm ?? backend.batchNorm;
  const floatNetwork = buildFloatNetwork(config, dataset);
  const rewritten = algorithm.rewrite?.(floatNetwork) ?? floatNetwork;
  const deployable = foldBatchNorm(rewritten, batchNorm);
  return {
    algorithm,
    backend,
    floatNetwork,
    rewritten,
    batchNorm,
    deployable,
    quantized: placeQuantizers(deployable, backend, config.bits),
  };
}

/** The algorithm with quantizers whose first grids come from other observers. */
function startingFrom(algorithm: Algorithm, initialization: Variant["initialization"]): Algorithm {
  if (initialization === undefined) return algorithm;
  const change = (quantizer: Quantizer, name: string): Quantizer => {
    if (!quantizer.startsFromGrid) return quantizer;
    const observer = lookup("observer", name, observers);
    return {
      ...quantizer,
      observe: observer.observe,
      initialize: (batches, site) => gridsFrom(observer, batches, site),
    };
  };
  return {
    ...algorithm,
    weight: change(algorithm.weight, initialization.weights),
    activation: change(algorithm.activation, initialization.activations),
  };
}

/** All cells of a matrix: models x blocks of (algorithms x backends x bits) x seeds. */
export function planCells(matrix: Matrix, dataset: Dataset, engine: Engine): Cell[] {
  const cells = new Map<string, Cell>(); // overlapping blocks name a cell once
  let last: { readonly key: string; readonly structure: Structure } | undefined;
  for (const config of configurations(matrix, dataset, engine)) {
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
  const parts = buildCell(config, dataset);
  return {
    unsupported: unsupportedReason(config, parts),
    cost: costOf(config, dataset, parts),
    quantization: canonicalHash(parts.quantized),
  };
}

function* configurations(matrix: Matrix, dataset: Dataset, engine: Engine): Generator<CellConfig> {
  const chosen = <T extends { readonly name: string }>(
    kind: string,
    names: "all" | readonly string[],
    entries: readonly T[],
  ) => (names === "all" ? entries : names.map((name) => lookup(kind, name, entries)));
  for (const { name, width } of matrix.models) {
    const model = lookup("model", name, models);
    for (const block of matrix.cells) {
      if (block.models?.includes(name) === false) continue;
      for (const bits of block.bits) {
        for (const algorithm of chosen("algorithm", block.algorithms, algorithms)) {
          for (const backend of chosen("backend", block.backends, backends)) {
            for (const [variant, hyperparameters] of variantsOf(block, matrix)) {
              for (let seed = 0; seed < matrix.seeds; seed++) {
                yield {
                  model: { name, version: model.version, width: width ?? model.defaultWidth },
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

/**
 * Rough costs, which the scheduler scales by what it measures: a training step costs about three
 * forward passes, quantizers make it half as much again.
 */
export function pretrainCost(config: CellConfig, dataset: Dataset): number {
  const { pretrain, batchSize } = config.hyperparameters;
  const images = stepCount(pretrain, dataset.train.count, batchSize) * batchSize;
  const forward = imageCost(buildFloatNetwork(config, dataset));
  return forward * (3 * images + dataset.test.count) + START_COST;
}

function costOf(
  { hyperparameters }: CellConfig,
  dataset: Dataset,
  { algorithm, quantized }: CellParts,
): number {
  const { quantizedTraining, batchSize, reconstruction = DEFAULT_RECONSTRUCTION } = hyperparameters;
  const phases = phasesOf(algorithm, quantized.network);
  const steps =
    phases.length > 0 ? stepCount(quantizedTraining, dataset.train.count, batchSize) : 0;
  // A layer or block at a time makes a step cheaper than one of the whole network, and each has its
  // own steps: together they cost about one step of the network each.
  const reconstructed =
    algorithm.reconstruction === undefined ? 0 : reconstruction.steps * reconstruction.batchSize;
  const images = 4.5 * (steps * batchSize + reconstructed) + 3 * dataset.test.count;
  return imageCost(quantized.network) * images + START_COST;
}

/** Multiplications, and memory traffic, which decides in narrow and depthwise layers. */
function imageCost(network: Network): number {
  const shapes = featureShapes(network);
  const outputs = network.nodes
    .filter(({ op }) => op === "conv2d")
    .map(({ name }) => shapes.get(name) ?? [])
    .map(([h = 1, w = 1, c = 1]) => h * w * Math.ceil(c / BLOCK) * BLOCK);
  const traffic = outputs.reduce((sum, count) => sum + count, 0);
  return [...multiplications(network).values()].reduce((a, b) => a + b, COST_OF_OUTPUT * traffic);
}

/** Engines fill channels up to whole blocks. */
const BLOCK = 16;
/** What one value of a convolution's result costs on its way through the network, in products. */
const COST_OF_OUTPUT = 280;
/** Measuring latency and writing files: about a second. */
const START_COST = 8e10;
/** Seconds per unit of cost before anything was measured. */
export const SECONDS_PER_COST = 1.45e-11;
