import { resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { initialParameters } from "../../../pipelines/network/index.js";
import { toyDataset } from "../../support.js";

/** A network that has not learned anything, and how it is quantized in a few steps. */
export const dataset = toyDataset(32);
export const floatNetwork = resnet8.build({ inputShape: dataset.shape, classes: 4, width: 4 });
export const checkpoint = initialParameters(floatNetwork, 0);
export const engine = await loadEngine("onnxruntime");
export const hyperparameters = {
  ...{ batchSize: 8, momentum: 0.9, weightDecay: 1e-4, calibrationBatches: 2 },
  augmentation: { shift: 0, flip: false },
  pretrain: { epochs: 1, learningRate: 0.05 },
  quantizedTraining: { epochs: 1, learningRate: 0.01 },
};
