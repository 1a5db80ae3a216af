import { type Algorithm, UnsupportedNetwork } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import { engineIdentity, type Engine } from "../../pipelines/engine/index.js";
import type { QuantizedNetwork } from "../../pipelines/network/index.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import type { CellConfig, Variant } from "../../results/schema.js";
import { buildCell, type CellParts } from "./cellParts.js";
import { costOf } from "./costs.js";
import { identifyAlgorithm } from "./identity.js";
import { storedFloat } from "../checkpoints/index.js";
import { lookup } from "../lookup.js";
import { modelName, seedsOf, type Matrix } from "./matrix.js";
import { missingLabels, unsupportedReason } from "./unsupported.js";
import { ownRecipe, ownVariant } from "./ownRecipe.js";
import { models } from "../models/index.js";
import type { OwnNetwork } from "../inputs/index.js";

/** Raised whenever the pipeline's own arithmetic changes, so that older results are not reused. */
export const NUMERICS_VERSION = 4;

export interface Cell {
  /** Hash of the configuration. */
  readonly id: string;
  readonly config: CellConfig;
  /** Rough cost in multiplications; see `pretrainCost`. */
  readonly cost: number;
  /** The part of it that cells of the same training share. */
  readonly trainingCost: number;
  /** Cells with the same float training share it. */
  readonly pretrainKey: string;
  /** Cells whose effective quantization is the same share one training. */
  readonly trainingKey: string;
  /** Cells that differ in bits of weights alone share one search, where what it finds serves all of them. */
  readonly searchKey?: string;
  /** Why the algorithm cannot do what the backend asks. */
  readonly unsupported?: string;
}

/** All cells of a matrix: models x blocks of (algorithms x backends x bits) x seeds. */
export async function planCells(
  matrix: Matrix,
  dataset: Dataset,
  engine: Engine,
  own: OwnNetworks = new Map(),
): Promise<Cell[]> {
  const cells = new Map<string, Cell>(); // overlapping blocks name a cell once
  let last: { readonly key: string; readonly structure: Structure } | undefined;
  for await (const config of configurations(matrix, dataset, { engine, own })) {
    // Seeds follow one another and share everything but themselves.
    const key = JSON.stringify({ ...config, seed: 0, model: { ...config.model, checkpoint: "" } });
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
  readonly trainingCost: number;
  /** Hash of the network with its quantizers. */
  readonly quantization: string;
  /** The same whatever the bits of weights are, where a search serves all. */
  readonly served?: string;
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
    return {
      unsupported: `the network: ${parts.message}`,
      ...{ cost: 0, trainingCost: 0, quantization: "none" },
    };
  const unsupported = unsupportedReason(config, parts) ?? missingLabels(dataset, parts);
  return {
    unsupported,
    ...(unsupported === undefined ? costOf(config, dataset, parts) : { cost: 0, trainingCost: 0 }),
    quantization: hashOf(parts.quantized),
    ...servedStructure(config, dataset, parts.algorithm),
  };
}

function servedStructure(
  config: CellConfig,
  dataset: Dataset,
  { serves }: CellParts["algorithm"],
): Pick<Structure, "served"> {
  if (serves === undefined) return {};
  const bits = { ...config.bits, weights: Math.max(...serves) };
  return { served: hashOf(buildCell({ ...config, bits }, dataset).quantized) };
}

const hashes = new WeakMap<QuantizedNetwork, string>();

/** Hashing a network takes as long as placing its quantizers; cells share networks. */
function hashOf(quantized: QuantizedNetwork): string {
  const hash = hashes.get(quantized) ?? canonicalHash(quantized);
  hashes.set(quantized, hash);
  return hash;
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

async function* configurations(
  matrix: Matrix,
  dataset: Dataset,
  { engine, own }: { readonly engine: Engine; readonly own: OwnNetworks },
): AsyncGenerator<CellConfig> {
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
            for (const [asked, given] of variantsOf(block, matrix)) {
              const isOwn = "file" in listed;
              const recipe = isOwn
                ? ownRecipe(given, listed)
                : { ...given, pretrain: listed.pretrain ?? given.pretrain };
              const hyperparameters = ofAlgorithm(algorithm, recipe);
              const variant = isOwn ? ownVariant(algorithm, asked) : asked;
              const identity = await identifyAlgorithm(algorithm.name, variant);
              for (let seed = 0; seed < seedsOf(listed, matrix); seed++) {
                yield {
                  model: startingModel(model, { hyperparameters, seed, dataset }),
                  dataset: { name: dataset.name, checksum: dataset.checksum },
                  algorithm: identity,
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

/** The model with the stored network that a cell starts from, if it does. */
function startingModel(
  model: CellConfig["model"],
  { hyperparameters, seed, dataset }: Pick<CellConfig, "hyperparameters" | "seed" | "dataset">,
): CellConfig["model"] {
  if (hyperparameters.pretrain !== "stored" || model.checksum !== undefined) return model;
  return { ...model, checkpoint: storedFloat({ ...model, seed, dataset }).sha256 };
}

/** Each variant of a block, with the hyperparameters that it changes. */
function variantsOf(
  { variants = [{}] }: Matrix["cells"][number],
  { hyperparameters }: Matrix,
): [Variant | undefined, Matrix["hyperparameters"]][] {
  return variants.map(({ quantizerWeightDecay, distillation, ...variant }) => [
    Object.keys(variant).length > 0 ? variant : undefined,
    {
      ...hyperparameters,
      ...(quantizerWeightDecay !== undefined && { quantizerWeightDecay }),
      ...(distillation !== undefined && { distillation }),
    },
  ]);
}

/** Where nothing is trained nothing is distilled: such cells are the same with and without. */
function ofAlgorithm(
  { phases }: Algorithm,
  { distillation, ...others }: Matrix["hyperparameters"],
): Matrix["hyperparameters"] {
  const trains = typeof phases === "function" || phases.length > 0;
  return trains && distillation !== undefined ? { ...others, distillation } : others;
}

export function planCell(
  config: CellConfig,
  dataset: Dataset,
  structure: Structure = structureOf(config, dataset),
): Cell {
  const { unsupported, quantization, served, cost, trainingCost } = structure;
  const { model, hyperparameters, seed, engine, numerics } = config;
  const { batchSize, momentum, weightDecay, augmentation, pretrain } = hyperparameters;
  const { trainImages, testImages, labelSmoothing } = hyperparameters;
  const pretraining = {
    // Nothing of the recipe matters where the network is trained already.
    ...(pretrain === "stored"
      ? { pretrain }
      : { batchSize, momentum, weightDecay, augmentation, pretrain }),
    ...(pretrain !== "stored" && labelSmoothing !== undefined && { labelSmoothing }),
    ...(trainImages !== undefined && { trainImages }),
    ...(testImages !== undefined && { testImages }),
  };
  const training = {
    algorithm: config.algorithm,
    ...(config.variant !== undefined && { variant: config.variant }),
    model,
    dataset: config.dataset,
    hyperparameters,
    seed,
    engine,
    numerics,
  };
  return {
    id: canonicalHash(config),
    config,
    cost,
    trainingCost,
    pretrainKey: canonicalHash({
      model,
      dataset: config.dataset,
      pretraining,
      seed,
      engine,
      numerics,
    }),
    trainingKey: canonicalHash({ quantization, ...training }),
    ...(served !== undefined && { searchKey: canonicalHash({ served, ...training }) }),
    ...(unsupported !== undefined && { unsupported }),
  };
}
