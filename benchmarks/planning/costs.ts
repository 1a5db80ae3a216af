import { phasesOf } from "../../algorithms/algorithm.js";
import type { Network } from "../../algorithms/network.js";
import { runtimesOf } from "../../pipelines/deploy/index.js";
import { featureShapes, multiplications, quantizerOf } from "../../pipelines/network/index.js";
import {
  type Dataset,
  DEFAULT_RECONSTRUCTION,
  DEFAULT_SEARCH,
  stepCount,
} from "../../pipelines/train/index.js";
import type { CellConfig } from "../../results/schema.js";
import { buildFloatNetwork, type CellParts } from "./cellParts.js";

/**
 * Rough costs in multiplications, which the scheduler scales by what it measures. Factors are from
 * cells of ResNet-8 and MobileNetV2, in evaluations of the same images on the engine.
 */
export function pretrainCost(config: CellConfig, dataset: Dataset): number {
  const { pretrain, batchSize } = config.hyperparameters;
  const isTrained = config.model.checksum !== undefined || pretrain === "stored";
  const steps = isTrained ? 0 : stepCount(pretrain, dataset.train.count, batchSize);
  const images = FLOAT_TRAINING * steps * batchSize + dataset.test.count;
  return engineCost(buildFloatNetwork(config, dataset), config.engine) * images + START_COST;
}

/** What one cell costs, and how much of it is training, which cells of the same training share. */
export function costOf(
  { hyperparameters, engine }: CellConfig,
  dataset: Dataset,
  { algorithm, backend, quantized }: CellParts,
): { readonly cost: number; readonly trainingCost: number } {
  const { quantizedTraining, batchSize, distillation } = hyperparameters;
  const { reconstruction = DEFAULT_RECONSTRUCTION, search = DEFAULT_SEARCH } = hyperparameters;
  const phases = phasesOf(algorithm, quantized.network);
  const steps =
    phases.length > 0 ? stepCount(quantizedTraining, dataset.train.count, batchSize) : 0;
  const reconstructed =
    algorithm.reconstruction === undefined ? 0 : reconstruction.steps * reconstruction.batchSize;
  const deployed = runtimesOf(backend).reduce((sum, { name }) => sum + (RUNTIMES[name] ?? 2), 0);
  const lookedUp = quantized.sites
    .filter(({ role }) => role === "activation")
    .filter((site) => quantizerOf(algorithm, site).levels !== undefined)
    .reduce((most, { scheme }) => Math.max(most, scheme.bitWidth), 0);
  const { visits } = search;
  const searched = algorithm.search === undefined ? 0 : SEARCHED_VISIT * visits;
  const trained =
    (QUANTIZED_TRAINING + (distillation === undefined ? 0 : TEACHER)) * steps * batchSize +
    RECONSTRUCTION * reconstructed +
    searched;
  const perImage = engineCost(quantized.network, engine);
  const perDeployed = imageCost(quantized.network) * (deployed + LOOKED_UP_BIT * lookedUp);
  const evaluated = (perImage + perDeployed) * dataset.test.count;
  const trainingCost = perImage * trained;
  return { cost: trainingCost + evaluated + START_COST, trainingCost };
}

const FLOAT_TRAINING = 4;
const QUANTIZED_TRAINING = 6.5;
/** The float network's forward pass beside it. */
const TEACHER = 1;
/** Of all layers or blocks together, each of which has its own steps. */
const RECONSTRUCTION = 11;
/** Of those that are allowed; some searches make fewer. */
const SEARCHED_VISIT = 1.5;
const RUNTIMES: Readonly<Record<string, number>> = {
  ...{ onnxruntime: 1.6, onnxruntimePrecise: 1.6, onnxruntimeReduced: 1.6 },
  ...{ integers: 2.5, onnxruntimeWeb: 3.5, litert: 1.8 },
};
/** Levels without equal steps are searched bit by bit. */
const LOOKED_UP_BIT = 2.5;

/** How many times as long as onnxruntime's blocked convolutions other engines take, about. */
const SLOWER: Readonly<Record<string, number>> = { standard: 2, "tfjs-node": 2, tfjs: 100 };
/** The portable engine has no blocks: what its kernels take for a product, and for a value of a result. */
const PORTABLE = { product: 2, output: 57 };

/** What one image costs on the engine that trains. */
function engineCost(network: Network, { name, lowering }: CellConfig["engine"]): number {
  if (name !== "portable")
    return imageCost(network) * (SLOWER[name] ?? SLOWER[lowering ?? ""] ?? 1);
  const shapes = featureShapes(network);
  const counts = multiplications(network);
  return network.nodes.reduce((sum, node) => {
    if (node.op !== "conv2d") return sum;
    const outputs = (shapes.get(node.name) ?? []).reduce((a, b) => a * b, 1);
    return sum + PORTABLE.product * (counts.get(node.name) ?? 0) + PORTABLE.output * outputs;
  }, 0);
}

/** Of inference: multiplications, and memory traffic, which decides in narrow and depthwise layers. */
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
