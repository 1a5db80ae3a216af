import {
  type Algorithm,
  phasesOf,
  UnsupportedNetwork,
  unsupportedLevels,
} from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { backends } from "../../backends/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import { engineIdentity, type Engine } from "../../pipelines/engine/index.js";
import { type QuantizedNetwork, quantizerOf } from "../../pipelines/network/index.js";
import { widthsWithin } from "../../pipelines/quantize/index.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import type { CellConfig, Variant } from "../../results/schema.js";
import { buildCell, type CellParts } from "./cellParts.js";
import { costOf } from "./costs.js";
import { identifyAlgorithm } from "./identity.js";
import { storedFloat } from "../checkpoints/index.js";
import { lookup } from "../lookup.js";
import { modelName, seedsOf, type Matrix } from "./matrix.js";
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

/** Why a cell cannot be run, or nothing. */
function unsupportedReason(config: CellConfig, parts: CellParts): string | undefined {
  const { algorithm, backend, quantized } = parts;
  for (const role of ["weights", "activations"] as const) {
    const { min, max, float = false } = backend.bitWidths[role];
    const wanted = config.bits[role];
    if (wanted === FLOAT_BITS && !float) return `${backend.title} does not leave ${role} in float`;
    if (wanted !== FLOAT_BITS && (wanted < min || wanted > max)) {
      const range = min === max ? String(min) : `${String(min)} to ${String(max)}`;
      return `${backend.title} holds ${role} of ${range} bits, not ${String(wanted)}`;
    }
  }
  for (const site of quantized.sites) {
    const reason =
      unsupportedLevels(quantizerOf(algorithm, site), site) ??
      (site.operator === undefined ? algorithm.unsupported?.(site, quantized.network) : undefined);
    if (reason !== undefined) return `${site.role} quantization: ${reason}`;
  }
  const own = phasesOf(algorithm, quantized.network).find(({ loss }) => loss !== undefined);
  if (config.hyperparameters.distillation !== undefined && own !== undefined)
    return `it has a loss of its own ("${own.name}"), in whose place distillation would be`;
  if (config.variant?.density !== undefined && algorithm.atDensity === undefined)
    return "it does not prune to a density";
  if (config.variant?.operators !== undefined && algorithm.atOperators === undefined)
    return "it does not choose operators";
  return (
    unsupportedInFloat(config, parts) ??
    unsupportedOperators(parts) ??
    unsupportedSearch(config, parts)
  );
}

/** Why an algorithm that looks at layers one by one has no answer for what some of them are, or nothing. */
function unsupportedOperators({ algorithm, floatNetwork }: CellParts): string | undefined {
  const { search, reconstruction, corrections, rewrite } = algorithm;
  const { equalize = false, correctBias = false } = corrections ?? {};
  const looks = search ?? reconstruction ?? rewrite ?? (equalize || correctBias || undefined);
  const other = floatNetwork.nodes.find(
    (node) =>
      (node.op === "conv2d" && node.operator !== undefined) ||
      (node.op === "float" && node.operation.kind === "adder"),
  );
  return looks === undefined || other === undefined
    ? undefined
    : `it knows convolutions and dense layers alone, and ${other.name} is another operator`;
}

/** Why an algorithm has nothing to do where weights stay in float, or nothing. */
function unsupportedInFloat({ bits }: CellConfig, { algorithm }: CellParts): string | undefined {
  if (bits.weights !== FLOAT_BITS) return undefined;
  if (algorithm.search !== undefined) return "there are no weights whose bits it could choose";
  if (algorithm.family === "pruning") return "it prunes weights where they are quantized";
  if (algorithm.reconstruction !== undefined)
    return "there are no weights whose rounding it could learn";
  return undefined;
}

/** Why an algorithm's search has nothing to choose, or is not what the variant asks for. */
function unsupportedSearch({ variant }: CellConfig, { algorithm, backend }: CellParts) {
  const { search } = algorithm;
  if (search === undefined)
    return variant?.budget !== undefined || variant?.search !== undefined
      ? "it does not search bits"
      : undefined;
  if (search.candidates.length === 0) {
    if (variant?.search !== undefined)
      return "it searches no bits, so that random search of bits is no control";
    const findsChannels = ["multiplications", "operations", "parameters"].includes(
      search.budget.unit,
    );
    return variant?.budget !== undefined && !findsChannels
      ? "it searches neither bits nor channels, so that it keeps to no budget"
      : undefined;
  }
  const widths = widthsWithin(search.candidates, backend.bitWidths.weights);
  if (widths.length < 2)
    return `there is no choice of bits: ${backend.title} holds weights of ${widths.join(", ") || "none"} of ${search.candidates.join(", ")} bits`;
  return undefined;
}

/** Training images without labels are only good for calibration. */
function missingLabels(
  { train }: Dataset,
  { algorithm, quantized }: CellParts,
): string | undefined {
  const learns = phasesOf(algorithm, quantized.network).length > 0 || algorithm.search;
  return learns && train.labels.length === 0 && train.count > 0
    ? "it learns from labels, which the training images do not have"
    : undefined;
}
