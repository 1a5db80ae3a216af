import type { OperatorKind } from "../backends/hardware/hardware.js";
export type { OperatorKind } from "../backends/hardware/hardware.js";

/** What a network is: data that algorithms may look at and rewrite, and that pipelines compute. */

/** [height, width], or one number for both. */
export type Pair = number | readonly [number, number];
/** [top, left, bottom, right] */
export type Sides = readonly [number, number, number, number];

/** A feature map's shape without the batch axis: [height, width, channels], or [features]. */
export type FeatureShape = readonly number[];

/** What one of an operator's products, shifts or distances counts beside a product (NASA's code). */
export const OPERATOR_COST = { convolution: 1, shift: 1 / 8, adder: 1 / 5 } as const;

/** What layers are, by their names; one that is missing stays what it is. */
export type Operators = Readonly<Record<string, OperatorKind>>;

interface NamedNode {
  readonly name: string;
}
export interface InputNode extends NamedNode {
  readonly op: "input";
  readonly shape: FeatureShape;
}
export interface ConvNode extends NamedNode {
  readonly op: "conv2d";
  readonly input: string;
  readonly filters: number;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly dilation?: Pair;
  /** If absent as much on every side as keeps the size at stride 1. */
  readonly padding?: Sides;
  /** One filter for each input channel; `filters` then equals the channels. */
  readonly depthwise: boolean;
  /** Equal parts of the channels that are convolved apart; 1 if absent. */
  readonly groups?: number;
  /** Its weights are signed powers of two wherever they are quantized, whatever the algorithm. */
  readonly operator?: "shift";
  /** Has a bias of its own. */
  readonly bias?: boolean;
  /** The batch norm that was merged into this convolution, whose parameters it uses. */
  readonly foldedBatchNorm?: string;
  /** How training treats the merged batch norm: MQBench's strategies 1 to 4. */
  readonly foldStrategy?: FoldStrategy;
}
export type FoldStrategy = 1 | 2 | 3 | 4;
export interface DenseNode extends NamedNode {
  readonly op: "dense";
  readonly input: string;
  readonly units: number;
}
export interface UnaryNode extends NamedNode {
  readonly op: "batchNorm" | "relu" | "relu6";
  readonly input: string;
}
export interface GlobalAveragePoolNode extends NamedNode {
  readonly op: "globalAveragePool";
  readonly input: string;
  /** The result is an image of one pixel: [1, 1, channels]. */
  readonly keepsAxes?: boolean;
}
/** Maximum over windows; padding never wins. */
export interface MaxPoolNode extends NamedNode {
  readonly op: "maxPool";
  readonly input: string;
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding?: Sides;
}
/** What has no integer form here and is computed in float. */
export interface FloatNode extends NamedNode {
  readonly op: "float";
  readonly operation: FloatOperation;
  readonly inputs: readonly string[];
}
/** Output channel i is input channel order[i]. */
export interface PermuteNode extends NamedNode {
  readonly op: "permuteChannels";
  readonly input: string;
  readonly order: readonly number[];
}
/** Channels of several tensors behind one another. */
export interface ConcatNode extends NamedNode {
  readonly op: "concat";
  readonly inputs: readonly string[];
}
export interface AddNode extends NamedNode {
  readonly op: "add";
  readonly inputs: readonly [string, string];
}
/** Where an activation is quantized; the node's name is the quantizer site's id. */
export interface QuantizeNode extends NamedNode {
  readonly op: "quantize";
  readonly input: string;
}
export type NetworkNode =
  | InputNode
  | ConvNode
  | DenseNode
  | UnaryNode
  | GlobalAveragePoolNode
  | MaxPoolNode
  | PermuteNode
  | ConcatNode
  | AddNode
  | QuantizeNode
  | FloatNode;

/**
 * A network as data. Nodes come in an order in which each reads only earlier ones; the last one
 * gives the logits. Parameters live apart, under the names that `parameterSpecs` lists.
 */
export interface Network {
  readonly nodes: readonly NetworkNode[];
}

/** Operations that stay in float, and what each needs to know. */
export interface FloatOptions {
  readonly sigmoid: object;
  readonly tanh: object;
  readonly hardSwish: object;
  readonly hardSigmoid: { readonly alpha: number; readonly beta: number };
  readonly clip: { readonly min: number; readonly max: number };
  readonly leakyRelu: { readonly slope: number };
  /** Over the channels unless another axis is named. */
  readonly softmax: { readonly axis?: number };
  readonly logSoftmax: object;
  readonly erf: object;
  readonly exp: object;
  readonly sqrt: object;
  readonly abs: object;
  readonly softplus: object;
  readonly gelu: { readonly approximate?: "tanh" };
  readonly elu: { readonly alpha: number };
  readonly mul: object;
  readonly sub: object;
  readonly div: object;
  /** A sum whose addends are repeated along axes of size 1. */
  readonly sum: object;
  readonly channelAffine: object;
  /** With a constant that is repeated along axes of size 1. */
  readonly addConstant: { readonly shape: FeatureShape };
  readonly mulConstant: { readonly shape: FeatureShape };
  /** The same values for every image of its input. */
  readonly constant: { readonly shape: FeatureShape };
  /** Less its mean over some axes, divided by its standard deviation. */
  readonly normalize: { readonly axes: readonly number[]; readonly epsilon: number };
  /** Over axes that stay, of size 1. */
  readonly reduce: { readonly by: "mean" | "sum" | "max"; readonly axes: readonly number[] };
  /** Products of the matrices that the last two axes make. */
  readonly matMul: object;
  /** Axes in another order (axis i is axis order[i] of the input), then reshaped. */
  readonly rearrange: { readonly order: readonly number[]; readonly shape: FeatureShape };
  /** For each whole number the row of a table that it names. */
  readonly embedding: { readonly rows: number; readonly features: number };
  readonly join: { readonly axis: number };
  readonly flatten: { readonly channelsLast?: boolean };
  readonly pixel: object;
  readonly slice: { readonly axis: number; readonly begin: number; readonly size: number };
  readonly pad: { readonly padding: Sides; readonly value: number };
  /** Filters that measure distances: y = - sum |x - w|. */
  readonly adder: {
    readonly filters: number;
    readonly size: Pair;
    readonly stride: Pair;
    readonly padding?: Sides;
    /** The quantizer of what it reads, where its filters are on the same grid. */
    readonly grid?: string;
  };
  readonly averagePool: {
    readonly size: Pair;
    readonly stride: Pair;
    readonly padding: Sides;
    /** Zeros of the padding count as values. */
    readonly countsPadding: boolean;
  };
  readonly convTranspose: {
    readonly filters: number;
    readonly size: Pair;
    readonly stride: Pair;
    readonly padding: Sides;
    /** Rows and columns that are added behind. */
    readonly outputPadding: readonly [number, number];
    readonly groups: number;
  };
  readonly resize: {
    readonly height: number;
    readonly width: number;
    readonly mode: "nearest" | "linear";
    readonly coordinates: "half_pixel" | "pytorch_half_pixel" | "asymmetric" | "align_corners";
    readonly nearest: "round_prefer_floor" | "round_prefer_ceil" | "floor" | "ceil";
  };
}
export type FloatKind = keyof FloatOptions;
/** One operation and what it needs to know. */
export type FloatOperation = {
  [K in FloatKind]: { readonly kind: K } & FloatOptions[K];
}[FloatKind];
