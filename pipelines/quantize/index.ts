// From a float checkpoint to a trained quantized network: search of bits, calibration, corrections,
// reconstruction, and quantized training, in that order. A newcomer adds stages that algorithms ask
// for by data; the algorithms themselves live in algorithms/.
export { withBits } from "./withBits.js";
export { calibrate } from "./calibrate.js";
export type { FineTuned } from "./trainKept.js";
export { channelBits, chosenWidths, type Quantization, quantize, storedForms } from "./quantize.js";
export {
  type SearchKeeper,
  type SearchProgress,
  type SearchRecord,
  type SearchState,
  widthsWithin,
} from "./search/search.js";
export { searchedLayers, searchedSites } from "./search/layers.js";
export { type Clock, policyCost } from "./search/policyCost.js";
