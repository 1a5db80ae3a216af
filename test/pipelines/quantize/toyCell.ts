// A small network that has learned its images, quantized, evaluated and deployed as a cell is.
import type { Algorithm } from "../../../algorithms/algorithm.js";
import type { BATCH_NORM_STRATEGIES, BackendProfile } from "../../../backends/backend.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import type { Engine } from "../../../pipelines/engine/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze } from "../../../pipelines/freeze/index.js";
import { asDeployed, foldBatchNorm, placeQuantizers } from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/quantize.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { deployedLogits } from "../../support.js";
import {
  dataset,
  floatNetwork,
  hyperparameters as shortTraining,
  onnx,
  pretrain,
} from "../toyTraining.js";

export { dataset, floatNetwork, onnx };

const hyperparameters = {
  ...shortTraining,
  quantizedTraining: { epochs: 2, learningRate: 0.01 },
  reconstruction: { images: 32, batchSize: 8, steps: 40, learningRate: 0.03 },
};
export const options = { inputShape: dataset.shape, classes: dataset.classes, width: 4 };
export const { tensors: checkpoint } = await pretrain(onnx, floatNetwork, 6);

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
