// Small networks, trained in float within seconds, and what quantizes them.
import { unsupportedLevels, type Algorithm } from "../../algorithms/algorithm.js";
import type { BackendProfile } from "../../backends/backend.js";
import { mobileNetV2, resnet8 } from "../../benchmarks/models/index.js";
import { calibrate, quantize as quantizeNetwork } from "../../pipelines/quantize/index.js";
import { loadEngine, type Engine } from "../../pipelines/engine/index.js";
import {
  foldBatchNorm,
  inheritParameters,
  initialParameters,
  placeQuantizers,
  withFilters,
} from "../../pipelines/network/index.js";
import { type Hyperparameters, train } from "../../pipelines/train/index.js";
import { TOY_VISITS } from "../searching.js";
import { toyDataset } from "../support.js";

export const dataset = toyDataset();
export const hyperparameters = {
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
export const floatNetwork = resnet8.build(options);
export const onnx = await loadEngine("onnxruntime");

export function pretrain(engine: Engine, network = floatNetwork, epochs = 4, seed = 0) {
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
export const checkpoint = await pretrain(onnx);
export const mobile = mobileNetV2.build(options);
export const mobileCheckpoint = await pretrain(onnx, mobile, 2);

export async function quantize(
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
export function unsupported(algorithm: Algorithm, profile: BackendProfile): string | undefined {
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
