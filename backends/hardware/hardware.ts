import type { Source } from "../backend.js";

/** Bits of a tensor that is not quantized. */
export const FLOAT_BITS = 32;

/** What a layer computes from a weight and an input before it adds up: w x, 2^w x, or -|x - w|. */
export const OPERATORS = ["convolution", "shift", "adder"] as const;
export type OperatorKind = (typeof OPERATORS)[number];

/** A convolution, dense or adder layer for one image, or those of its output channels that share a width. */
export interface LayerWork {
  readonly layer: string;
  readonly kind: "convolution" | "depthwise" | "dense";
  /** Whether its products are shifts by powers of two, or differences; multiplications if absent. */
  readonly operator?: OperatorKind;
  /** Products that one output value is the sum of. */
  readonly taps: number;
  /** How many of them read the same channel: a kernel's height x width; 1 for dense layers. */
  readonly window: number;
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

/** What one image costs where layers share hardware, which a model may configure for the network. */
export interface SharedCost extends HardwareCost {
  readonly cycles: number;
  readonly picojoules: number;
  readonly mapping: MappingCost;
}

/** What the best mapping of layers to hardware that was found gains. */
export interface MappingCost {
  /** Of an image that no other one follows or precedes. */
  readonly cyclesOfOneImage: number;
  /** Without adding up: products, shifts and differences alone, and memory. */
  readonly picojoulesWithoutSums: number;
  /** With the same mapping for every layer: cycles of an image, and its energy. */
  readonly fixed: { readonly cycles: number; readonly picojoules: number };
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
  /** Of all layers together, where that is not the sum of what each costs alone. */
  readonly costOfAll?: (work: readonly LayerWork[]) => SharedCost;
}

/** What a network costs; without what the model says nothing about for one of its layers. */
export function hardwareCost(
  { cost, costOfAll }: HardwareModel,
  work: readonly LayerWork[],
): HardwareCost | SharedCost {
  if (costOfAll !== undefined) return costOfAll(work);
  const costs = work.map(cost);
  const sum = (values: readonly (number | undefined)[]) =>
    values.reduce<number | undefined>(
      (a, b) => (a === undefined || b === undefined ? undefined : a + b),
      0,
    );
  const cycles = sum(costs.map((layer) => layer.cycles));
  const picojoules = sum(costs.map((layer) => layer.picojoules));
  return {
    ...(cycles !== undefined && { cycles }),
    ...(picojoules !== undefined && { picojoules }),
  };
}

export const operatorOf = ({ operator = "convolution" }: LayerWork): OperatorKind => operator;

/** Multiplications, shifts or differences. */
export const operationsOf = ({ taps, outputChannels, outputPixels }: LayerWork): number =>
  taps * outputChannels * outputPixels;

/** Multiplications: shifts and differences are none. */
export const macsOf = (work: LayerWork): number =>
  operatorOf(work) === "convolution" ? operationsOf(work) : 0;

export const weightsOf = ({ taps, outputChannels }: LayerWork): number => taps * outputChannels;

/** Refuses layers of other operators where there are multipliers only, and operands that are too wide for them. */
export const multipliesUpTo =
  (bits: number) =>
  (work: LayerWork): string | undefined =>
    multipliesOnly(work) ?? upTo(bits)(work);

function multipliesOnly(work: LayerWork): string | undefined {
  switch (operatorOf(work)) {
    case "convolution":
      return undefined;
    case "shift":
      return "it multiplies, and has no units that shift";
    case "adder":
      return "it multiplies, and has no units for differences";
  }
}

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
