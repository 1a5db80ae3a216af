// The trained network as integers: codes, scales, zero points, biases, and how each tensor is encoded.
// Nothing is left to learn behind this door. A newcomer touches it when a kind of levels is added
// that neither a uniform grid nor a codebook can hold.
export {
  type Encoding,
  accumulatorSteps,
  dequantized,
  encodingOf,
  isClippedByCodes,
  keptRange,
  levelsOf,
} from "./encoding.js";
export {
  type FrozenCodebook,
  type FrozenGrid,
  type FrozenLevels,
  type FrozenNetwork,
  type FrozenWeight,
  codebookCodes,
  freeze,
  freezeFloat,
  integerCodes,
  isCodebook,
} from "./freeze.js";
export { groupChannels } from "./groupChannels.js";
export { layersInFloat } from "./layersInFloat.js";
export { padChannels, type Padding } from "./padChannels.js";
export { placeholders } from "./placeholders.js";
export { reducedRange } from "./reducedRange.js";
export { type Sparsity, sparsityOf, STORAGE_FORMATS, type StorageFormat } from "./sparsity.js";
export { roomForBiases } from "./roomForBiases.js";
