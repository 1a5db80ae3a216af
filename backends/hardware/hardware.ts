import type { Source } from "../backend.js";

/** Bits of a tensor that is not quantized. */
export const FLOAT_BITS = 32;

/** A convolution or dense layer for one image, or those of its output channels that share a width. */
export interface LayerWork {
  readonly layer: string;
  readonly kind: "convolution" | "depthwise" | "dense";
  /** Products that one output value is the sum of. */
  readonly taps: number;
  readonly outputChannels: number;
  /** Parts that read channels of their own; a depthwise convolution has one for each channel. */
  readonly groups: number;
  /** Output height x width; 1 for dense layers. */
  readonly outputPixels: number;
  /** Values that the layer reads, and those that it writes. */
  readonly inputValues: number;
  readonly weightBits: number;
  readonly activationBits: number;
  /** Where weights are kept in a compressed format; hardware that cannot unpack it reads them as they are. */
  readonly stored?: StoredWeights;
}

/** A layer's weights in a compressed format, which hardware may unpack while it computes. */
export interface StoredWeights {
  readonly format: string;
  readonly bytes: number;
  /** Share of the products whose weight the format shows to be 0, so that hardware can leave them out. */
  readonly skipped: number;
  /** Shifts and additions that unpack all weights. */
  readonly shiftAdds: number;
}

/** What one image costs; absent where a model says nothing about it. */
export interface HardwareCost {
  readonly cycles?: number;
  readonly picojoules?: number;
}

/** A model of the cost of a network on hardware that is not here. */
export interface HardwareModel {
  readonly name: string;
  readonly title: string;
  readonly source: Source;
  /** How much of the model is published, and what was derived or assumed. */
  readonly provenance: string;
  /** Cycles per second, where known. */
  readonly clockHz?: number;
  /** Why the hardware has no such layer. */
  readonly unsupported?: (work: LayerWork) => string | undefined;
  readonly cost: (work: LayerWork) => HardwareCost;
}

export const macsOf = ({ taps, outputChannels, outputPixels }: LayerWork): number =>
  taps * outputChannels * outputPixels;

export const weightsOf = ({ taps, outputChannels }: LayerWork): number => taps * outputChannels;

/** Refuses operands wider than an integer unit has. */
export const upTo =
  (bits: number) =>
  ({ weightBits, activationBits }: LayerWork): string | undefined => {
    const widest = Math.max(weightBits, activationBits);
    if (widest <= bits) return undefined;
    return widest === FLOAT_BITS
      ? "it has no float arithmetic"
      : `it has no ${String(widest)}-bit operands`;
  };
