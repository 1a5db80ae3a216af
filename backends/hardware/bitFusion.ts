import {
  macsOf,
  multipliesUpTo,
  weightsOf,
  type HardwareModel,
  type LayerWork,
} from "./hardware.js";

/** The array in Eyeriss's area: rows that add up, columns for output channels, bits per cycle. */
const ROWS = 16;
const COLUMNS = 32;
const BITS_PER_CYCLE = 192;
/** A unit's energy for an 8 x 8 bit product: 0.280 mW at 500 MHz; fused units share it. */
const PICOJOULES_PER_MAC = 0.56;
const PICOJOULES_PER_BIT = 15;

/** Operands of so many bits that fit a unit built for 8. */
const fused = (bits: number): number => Math.floor(8 / Math.max(bits, 2));

function bitsMoved(work: LayerWork): number {
  const { inputValues, outputChannels, outputPixels, weightBits, activationBits } = work;
  const activations = inputValues + outputChannels * outputPixels;
  return weightsOf(work) * weightBits + activations * activationBits;
}

/** A systolic array whose 2-bit units fuse to the widths that a layer has. */
export const bitFusion: HardwareModel = {
  name: "bitFusion",
  title: "BitFusion (16 x 32 units, 500 MHz)",
  source: {
    title: "Bit Fusion: Bit-Level Dynamically Composable Architecture (Sharma et al., ISCA 2018)",
    url: "https://arxiv.org/abs/1712.01507",
  },
  provenance:
    "cycle rule and energies of the published simulator; every tensor passes its memory once, tiles and stalls are not modelled",
  clockHz: 500e6,
  unsupported: multipliesUpTo(8),
  cost(work) {
    const { taps, outputChannels, groups, outputPixels, weightBits, activationBits } = work;
    const products = fused(weightBits) * fused(activationBits);
    const compute =
      outputPixels *
      groups *
      Math.ceil(outputChannels / groups / COLUMNS) *
      Math.ceil(taps / (ROWS * products));
    return {
      cycles: Math.max(compute, Math.ceil(bitsMoved(work) / BITS_PER_CYCLE)),
      picojoules:
        (macsOf(work) * PICOJOULES_PER_MAC) / products + bitsMoved(work) * PICOJOULES_PER_BIT,
    };
  },
};
