// A small network that has learned its images, quantized, evaluated and deployed as a cell is.
import type { Algorithm } from "../../../algorithms/algorithm.js";
import type { BATCH_NORM_STRATEGIES, BackendProfile } from "../../../backends/backend.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { loadEngine, type Engine } from "../../../pipelines/engine/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze } from "../../../pipelines/freeze/index.js";
import {
  asDeployed,
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/quantize.js";
import { agreementOf, evaluate, train } from "../../../pipelines/train/index.js";
import { deployedLogits, toyDataset } from "../../support.js";

export const dataset = toyDataset();
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
export const options = { inputShape: dataset.shape, classes: dataset.classes, width: 4 };
export const floatNetwork = resnet8.build(options);
export const onnx = await loadEngine("onnxruntime");
export const { tensors: checkpoint } = await train(onnx, {
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

/** One cell: an algorithm on a profile, with its logits as simulated and how many predictions agree as deployed. */
export async function quantized(
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
