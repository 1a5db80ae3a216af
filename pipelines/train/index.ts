// Training: batches, schedule, the step, the loop, and how accuracy is counted. The same for every
// algorithm: here nobody knows one by name. A newcomer rarely changes anything, since whatever is
// changed here changes every number of every result.
export {
  type Batch,
  type BatchPosition,
  type Dataset,
  type ImageSet,
  type TrainingImages,
  batchesInOrder,
  channelsFirst,
  chosenImages,
  limitDataset,
  trainingBatches,
} from "./data.js";
export {
  type Logits,
  accuracyOf,
  agreementOf,
  changedCount,
  checkFinite,
  collectLogits,
  correctOf,
  evaluate,
  predictions,
} from "./evaluate.js";
export {
  DEFAULT_RECONSTRUCTION,
  DEFAULT_SEARCH,
  type Hyperparameters,
  type SearchEffort,
  type Learning,
  type Schedule,
  stepCount,
} from "./hyperparameters.js";
export { imagePace, type ImageProgress } from "./pace.js";
export { RunningPhase, train } from "./train.js";
export {
  type Training,
  type TrainingKeeper,
  type TrainingProgress,
  type TrainingResult,
  type TrainingState,
  notFinite,
} from "./training.js";
export { distilled, type Distillation } from "./distillation.js";
