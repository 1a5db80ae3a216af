import type * as tf from "#tf";
import type { Source } from "../backends/backend.js";
import type { Search } from "./laboratory.js";
import type { Network, OperatorKind } from "./network.js";
import type {
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValue,
  QuantizerValues,
} from "./quantizer.js";

export type * from "./quantizer.js";

/** The ways of making a network cheap that algorithms are sorted by. */
export const FAMILIES = [
  "quantization",
  "mixed precision",
  "pruning",
  "structure",
  "binary and ternary",
  "decomposition",
] as const;
export type Family = (typeof FAMILIES)[number];

/** What a training phase may change. */
export type ParameterGroup = "weights" | "quantizers";

/** What a phase's own loss is made of; all tensors belong to the current batch. */
export interface LossTerms {
  readonly crossEntropy: tf.Scalar;
  /** [batch, classes], of the quantized network. */
  readonly logits: tf.Tensor2D;
  /** [batch, classes], one-hot. */
  readonly labels: tf.Tensor2D;
  /** What a node of the quantized network gave, by its name. */
  readonly output: (node: string) => tf.Tensor;
  /** What a node of the float network gives on the same batch; computed only when asked for. */
  readonly teacherOutput: (node: string) => tf.Tensor;
  /** [batch, classes], what the float network ends with: the quantized one may have a node behind that. */
  readonly teacherLogits: () => tf.Tensor2D;
  /** What a site's quantizer reads, such as weights as they are before they are rounded. */
  readonly tensor: (site: QuantizerSite) => tf.Tensor;
  /** Each quantizer's values, by site. */
  readonly quantizers: ReadonlyMap<QuantizerSite, QuantizerTensors>;
}

export interface Phase {
  readonly name: string;
  /** Part of the training budget, which is the same for all algorithms; shares add up to 1. */
  readonly share: number;
  readonly trains: readonly ParameterGroup[];
  /** Trains only tensors whose name this accepts: "s0.0.a/kernel", "s0.0.a/kernel:scale". */
  readonly only?: (name: string) => boolean;
  /** Replaces the cross entropy; an algorithm that sets it declares it in `deviations`. */
  readonly loss?: (terms: LossTerms) => tf.Scalar;
  /**
   * Values of all quantizers that follow the progress of the whole training (0 to 1), such as a
   * temperature; they replace those of the same name at each step.
   */
  readonly anneals?: (progress: number) => Readonly<Record<string, number>>;
  /**
   * Values of weight quantizers that follow the weights, such as masks; they replace those of the same name
   * before each step. Weights are those that are trained, before batch norm is folded into them.
   *
   * @param progress of the whole training after the step: above 0, and 1 at the last one
   * @returns nothing where all stay as they are
   */
  readonly adapts?: (
    progress: number,
    seen: SeenWeights,
  ) => ReadonlyMap<QuantizerSite, QuantizerValues> | undefined;
}

/** All quantized weights, and the values of their quantizers, by site. */
export type SeenWeights = ReadonlyMap<
  QuantizerSite,
  {
    readonly weights: Float32Array;
    readonly values: Readonly<Record<string, Float32Array>>;
  }
>;

/** How blocks are reconstructed one after another from few images, without labels. */
export interface Reconstruction {
  /** "layer": each convolution or dense layer; "block": up to where a shortcut joins. */
  readonly unit: "layer" | "block";
  /** Weigh each output's error by the squared gradient of the loss there (BRECQ's Fisher term). */
  readonly fisher: boolean;
  /** Chance that an activation stays unquantized while rounding is learned (QDrop). */
  readonly drop: number;
  /** Whether the input of a unit comes from the quantized network alone or mixed with the float one. */
  readonly mixInput: boolean;
}

/** Corrections of the float network or of the quantized one, without training. */
export interface Corrections {
  /** Evens out the channels of neighbouring layers before calibration. */
  readonly equalize?: boolean;
  /** Measures batch norm's statistics again with quantization on. */
  readonly recalibrateBatchNorm?: boolean;
  /** Takes the mean error of each output channel out of its bias. */
  readonly correctBias?: boolean;
}

/**
 * A quantization algorithm. It never sees the data, the optimizer or the schedule: those are the
 * same for all, and what an algorithm does differently is declared here and printed in the report.
 */
export interface Algorithm {
  /** Equal to the name of its file. */
  readonly name: string;
  readonly title: string;
  /** Raised whenever a change here changes results, so that older ones are not reused. */
  readonly version: number;
  readonly source: Source;
  /** See `familyOf` for what it is if absent. */
  readonly family?: Family;
  /** Where this implementation departs from its source, and why. */
  readonly deviations: readonly string[];
  /** Checks of `quantbench check` that it is known to fail, since its source does; by their names. */
  readonly knownDefects?: readonly string[];
  readonly weight: Quantizer;
  readonly activation: Quantizer;
  /**
   * What is trained, in order; empty for post-training quantization. A function where phases
   * follow the network, as when blocks are reconstructed one after another.
   */
  readonly phases: readonly Phase[] | ((network: Network) => readonly Phase[]);
  readonly reconstruction?: Reconstruction;
  /** Decides the bits of each layer before calibration, by looking at the network several times. */
  readonly search?: Search;
  readonly corrections?: Corrections;
  /**
   * What its search finds serves all of these bit widths of weights: values named "NAME at 3 bits" take
   * the place of NAME there, and what the search does must not depend on the matrix's bits of weights.
   */
  readonly serves?: readonly number[];
  /** What differs where a matrix asks for another share of weights that are not 0, above 0 and up to 1. */
  readonly atDensity?: (density: number) => Pick<Algorithm, "phases">;
  /** The control of a search of operators: all of one kind, or drawn at random. */
  readonly atOperators?: (given: OperatorKind | "random") => Pick<Algorithm, "search">;
  /**
   * The reason why this site cannot be quantized as its scheme asks, or nothing.
   *
   * @param network that it is in, where that is known
   */
  unsupported?(site: QuantizerSite, network?: Network): string | undefined;
  /**
   * Changes the network before quantizers are placed. Parameters that keep their name and shape
   * are taken from the float checkpoint, others start anew.
   *
   * @param bits those that the matrix asks for
   */
  rewrite?(network: Network, bits?: CellBits): Network;
  /** First values of a rewritten network's parameter; without it, see `rewrite`. */
  inherit?(parameter: InheritedParameter): Float32Array;
}

/** Bits that a matrix asks for, where neither an edge nor a search decides others; 32 for float. */
export interface CellBits {
  readonly weights: number;
  readonly activations: number;
}

/** A parameter of a rewritten network and what the float network had under its name. */
export interface InheritedParameter {
  readonly name: string;
  /** As a network that is trained from scratch starts. */
  readonly fresh: QuantizerValue;
  readonly trained: QuantizerValue | undefined;
  /** The rewritten network. */
  readonly network: Network;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

/** The phases of an algorithm on one (quantized) network. */
export function phasesOf({ phases }: Algorithm, network: Network): readonly Phase[] {
  return typeof phases === "function" ? phases(network) : phases;
}

/** What an algorithm belongs to; one that searches bits and says nothing, to mixed precision. */
export const familyOf = ({ family, search }: Pick<Algorithm, "family" | "search">): Family =>
  family ?? (search === undefined ? "quantization" : "mixed precision");

/** The usual training: everything, for the whole budget. */
export const TRAIN_ALL: readonly Phase[] = [
  { name: "train", share: 1, trains: ["weights", "quantizers"] },
];

/** Why a quantizer cannot give what a site's scheme asks for, by the kind of its levels. */
export function unsupportedLevels(quantizer: Quantizer, { scheme }: QuantizerSite) {
  const { levels = "uniform", fewestBits = 2 } = quantizer;
  if (scheme.bitWidth < fewestBits) return `it has no levels of ${String(scheme.bitWidth)} bit`;
  const wanted = scheme.levels ?? "uniform";
  if (wanted === levels || (wanted === "any" && levels !== "logarithmic")) return undefined;
  return `its levels are ${LEVELS[levels]}, and the backend computes with ${LEVELS[wanted]} ones`;
}
const LEVELS = {
  uniform: "uniform",
  codebook: "not uniform",
  logarithmic: "logarithmic",
  any: "any",
} as const;

/** Thrown by `rewrite` for a network that the algorithm cannot change as it must. */
export class UnsupportedNetwork extends Error {
  override readonly name = "UnsupportedNetwork";
}
