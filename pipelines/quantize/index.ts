// From a float checkpoint to a trained quantized network: calibration, corrections, bits by layer,
// reconstruction, and quantized training, in that order. A newcomer adds stages that algorithms ask
// for by data; the algorithms themselves live in algorithms/.
export { withBits } from "./allocateBits.js";
export { calibrate } from "./calibrate.js";
export type { FineTuned } from "./trainKept.js";
export { channelBits, chosenWidths, quantize } from "./quantize.js";
