import type * as tf from "#tf";
import type { LayerWork } from "../backends/hardware/hardware.js";
import type { ConvNode, DenseNode, Network, Operators } from "./network.js";
import type { Quantizer, QuantizerSite, QuantizerTensors, QuantizerValues } from "./quantizer.js";

/** Bits by site; a site that is missing keeps the matrix's. */
export type Policy = Readonly<Record<string, number>>;

/** Bits of each output channel by the site of weights, where they differ; a policy has the most of them. */
export type ChannelBits = Readonly<Record<string, readonly number[]>>;

/** Output channels by convolution; one that is missing keeps the network's. */
export type Filters = Readonly<Record<string, number>>;

/** Output channels that must be as many, such as those that an addition joins. */
export interface ChannelGroup {
  /** In the network's order; depthwise ones among them have their input's channels. */
  readonly convolutions: readonly string[];
  readonly channels: number;
  /** All nodes that give these channels, such as batch norms behind the convolutions. */
  readonly nodes: readonly string[];
  /** Additions, depthwise convolutions and the like, for which they must be as many. */
  readonly joinedBy: readonly string[];
  /** Why they cannot be more or fewer than they are; undefined where they can. */
  readonly fixedBy: string | undefined;
}

/** What a policy may cost at most: as much as the matrix's bit widths would, or a share of that. */
export type BudgetUnit = {
  /** Of what the network costs with the matrix's bit widths; all of it if absent. */
  readonly share?: number | undefined;
} & CostUnit;

export type CostUnit =
  /** Of one image, whatever the bits. */
  | { readonly unit: "multiplications" }
  /** Of one image: products, shifts that count an eighth each, and distances that count a fifth (as in NASA's code). */
  | { readonly unit: "operations" }
  /** Weights of convolutions and dense layers, whatever the bits. */
  | { readonly unit: "parameters" }
  /** Weights at their widths, in bits. */
  | { readonly unit: "size" }
  /** Weights and all quantized activations of one image at their widths, in bits. */
  | { readonly unit: "memory" }
  /** Products weighted with both operands' bits. */
  | { readonly unit: "bitOps" }
  /** Of one image on a hardware model, by its name. */
  | { readonly unit: "cycles" | "picojoules"; readonly on: string }
  /**
   * Of one image on one thread of this machine, as it is measured. Only channels change it: onnxruntime computes all widths up to
   * 8 bits with the same kernels.
   */
  | { readonly unit: "microseconds"; readonly on: "onnxruntime" };

/** A convolution or dense layer, and where its bits are decided. */
export interface SearchedLayer {
  readonly node: ConvNode | DenseNode;
  /** At the matrix's bit widths. */
  readonly work: LayerWork;
  /** The site of its weights. */
  readonly weights: string;
  /** The site of what it reads; absent where that stays in float. Layers may share one. */
  readonly input: string | undefined;
}

/** A batch of images with their labels, to be handed on. */
export interface ImageBatch {
  readonly images: BatchTensor;
  readonly labels: BatchTensor;
}
interface BatchTensor {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32";
  readonly data: Float32Array | Int32Array;
}

/** How good a policy is, on the images that are held out. */
export interface Score {
  /** Share of images that are classified right. */
  readonly accuracy: number;
  /** Mean cross entropy. */
  readonly loss: number;
}

/**
 * A function of the network on a batch, recorded once: whatever changes between its runs, such as bit
 * widths, is an input.
 */
export interface Experiment {
  /** What becomes of a tensor at a site; without it nothing is quantized. */
  readonly quantize?: (x: tf.Tensor, site: QuantizerSite, inputs: QuantizerTensors) => tf.Tensor;
  /** What others read instead of what a node gave; without it the same. */
  readonly after?: (x: tf.Tensor, node: string, inputs: QuantizerTensors) => tf.Tensor;
  /** What is differentiated instead of the cross entropy. */
  readonly loss?: (terms: ExperimentTerms) => tf.Scalar;
  /** Another network than the laboratory's, such as one that holds several, and all of its sites. */
  readonly network?: Network;
  readonly sites?: readonly QuantizerSite[];
  /** Output channels where they are not the network's; parameters then have the shapes that follow. */
  readonly filters?: Filters;
  /** The inputs by which the loss is differentiated; none to evaluate only. */
  readonly by: readonly string[];
  /** Whether batch norm uses the statistics of the batch and gives new running ones. */
  readonly training: boolean;
}

/** What an experiment's own loss is made of. */
export interface ExperimentTerms {
  readonly crossEntropy: tf.Scalar;
  /** [batch, classes] */
  readonly logits: tf.Tensor2D;
  /** [batch, classes], one-hot. */
  readonly labels: tf.Tensor2D;
  /** What `quantize` was given at a site. */
  readonly tensor: (site: QuantizerSite) => tf.Tensor;
  readonly inputs: QuantizerTensors;
}

export interface Observation {
  readonly loss: number;
  /** Images of the batch that are classified right. */
  readonly correct: number;
  /** Of the loss, by the names in `by`. */
  readonly gradients: QuantizerValues;
  /** New running statistics of batch norm, where it trained. */
  readonly statistics: QuantizerValues;
}

/** An experiment that can be run: on a batch, with all parameters of the network and its own inputs. */
export type Runs = (inputs: QuantizerValues, batch: ImageBatch) => Promise<Observation>;

/** A source of random numbers with a name: the same name gives the same numbers. */
export interface RandomNumbers {
  /** In [0, 1). */
  uniform(): number;
  /** A whole number from 0 to `below` - 1. */
  integer(below: number): number;
}

/** A line of the trace. */
export interface Note {
  readonly policy: Policy;
  readonly channels?: ChannelBits;
  readonly filters?: Filters;
  readonly operators?: Operators;
  readonly accuracy: number;
  readonly loss?: number;
}

/**
 * What a search may know and do; test images are not among it. Whatever costs time is counted in image
 * visits: one for an image that goes through the network, three where gradients come back.
 */
export interface Laboratory {
  /** With its quantizers placed. */
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
  /** All layers in order. */
  readonly layers: readonly SearchedLayer[];
  /** Sites whose bits may be chosen: weights and inputs of all layers but the first and the last. */
  readonly free: readonly QuantizerSite[];
  /** Widths that the search may choose among and the backend has, rising, by the role of a site. */
  readonly widths: Readonly<Record<QuantizerSite["role"], readonly number[]>>;
  /** Of the trained float network. */
  readonly parameters: QuantizerValues;
  /** How the matrix trains quantized networks, at its peak rate: what suits the network. */
  readonly descent: {
    readonly rate: number;
    readonly momentum: number;
    /** Of kernels. */
    readonly decay: number;
  };
  /** Which convolutions' output channels go together, for searches of filters. */
  readonly groups: readonly ChannelGroup[];
  /** The most that a policy may cost. */
  readonly budget: number;
  /** The most that it may cost in each unit that the search keeps to: first that of the budget. */
  readonly limits: readonly { readonly unit: BudgetUnit; readonly allowed: number }[];
  /** Exact cost of a policy, in the unit of the budget or in another one. */
  readonly cost: (
    policy: Policy,
    unit?: BudgetUnit,
    changed?: {
      readonly channels?: ChannelBits | undefined;
      readonly filters?: Filters | undefined;
      readonly operators?: Operators | undefined;
    },
  ) => number;
  /** Image visits that are allowed, and those that were made. */
  readonly visits: { readonly allowed: number; readonly used: number };
  /** What `evaluate` costs. */
  readonly visitsPerEvaluation: number;
  /**
   * Tries a policy: on the method's grids, after the matrix's short fine-tuning from the float
   * parameters. Leaves a line in the trace.
   *
   * @param options.tuned false: without the fine-tuning, as post-training quantization would be
   * @throws RangeError when it needs more visits than are left
   */
  readonly evaluate: (policy: Policy, options?: { readonly tuned?: boolean }) => Promise<Score>;
  /** First values of all quantizers ("site:value") from calibration of the float network, at the matrix's bits. */
  readonly calibrate: (
    quantizers: Readonly<Record<QuantizerSite["role"], GridStart>>,
  ) => Promise<QuantizerValues>;
  /** Records an experiment, for whatever `evaluate` does not do. */
  readonly prepare: (experiment: Experiment) => Runs;
  /** One epoch of training images in an order of its own, none of them held out. */
  readonly epoch: (name: string) => Iterable<ImageBatch>;
  /** The images that policies are judged by, in batches of one size. */
  readonly heldOut: readonly ImageBatch[];
  /** The first training images, which calibration sees. */
  readonly calibration: readonly ImageBatch[];
  readonly random: (name: string) => RandomNumbers;
  /** A line of the trace for a policy that was judged by experiments. */
  readonly note: (line: Note) => void;
  /**
   * Rounds one after another, each from what the one before left. What a round leaves is kept, so that a
   * search that was killed goes on behind the last one; it may hold whatever is data: numbers, texts,
   * arrays, objects, maps, Float32Array. Random numbers of a round come from a name of its own.
   *
   * @param done the state after which no further round is wanted
   */
  readonly rounds: <State>(
    name: string,
    first: () => State | Promise<State>,
    options: {
      readonly most: number;
      readonly done?: (state: State) => boolean;
      readonly round: (state: State, index: number) => Promise<State>;
    },
  ) => Promise<State>;
}

/** What a search ends with. */
export interface Found {
  readonly policy: Policy;
  /** Where `bitWidths` of the algorithm's quantizer gives channels of their own. */
  readonly channels?: ChannelBits;
  /**
   * Fewer or more output channels than the network's. Those that additions and depthwise convolutions join
   * must be as many (`Laboratory.groups`). Parameters whose shape this changes come from `tensors`, or start
   * as in training from scratch.
   */
  readonly filters?: Filters;
  /** Convolutions that become other operators; kernels keep their names and shapes. */
  readonly operators?: Operators;
  /** Parameters and quantizer values ("site:value") that take the place of the float network's and of calibrated ones. */
  readonly tensors?: QuantizerValues;
}

/** Statistics of calibration batches, and scale and zero point from them at a site's bit width. */
export type GridStart = Pick<Quantizer, "observe" | "initialize">;

/** Values that share a number with others: a codebook of one tensor. */
export interface Clusters {
  /** [n], rising; the last ones are equal where there are fewer. */
  readonly levels: Float32Array;
  /** Of each value, the place of its level. */
  readonly labels: Int32Array;
}

/** Clusters of weights while a policy is tried. */
export interface SharedValues extends Clusters {
  /** Whether weights leave their clusters while they train, and are clustered again before they are judged. */
  readonly trainsAlone: boolean;
}

/** How an algorithm decides bits, or how many channels layers have, by looking at the network several times. */
export interface Search {
  readonly budget: BudgetUnit;
  /** What it may not cost more in either. */
  readonly within?: readonly BudgetUnit[];
  /** Units of the budgets that a matrix may ask it to keep to, where it decides something else than bits. */
  readonly keepsTo?: readonly BudgetUnit["unit"][];
  /** Whether what it finds may cost more: where accuracy is what must be kept. */
  readonly mayExceed?: boolean;
  /** Widths that it chooses among; none where it looks for other weights and leaves bits as they are. */
  readonly candidates: readonly number[];
  /** Whether activations are searched, too; else they keep the matrix's bits, as where only size counts. */
  readonly activations: boolean;
  /** On which policies are tried: quantizers that start from grids, such as those of `fixedGrid`. */
  readonly grids?: Readonly<Record<QuantizerSite["role"], GridStart>>;
  /** The same for weights that share values instead of lying on a grid. */
  readonly clusters?: (weights: Float32Array, bits: number, random: RandomNumbers) => SharedValues;
  readonly run: (laboratory: Laboratory) => Promise<Found>;
}
