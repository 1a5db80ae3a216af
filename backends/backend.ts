import type { TensorScheme } from "./scheme.js";

/** Which tensors a backend quantizes, besides the inputs of convolutions and dense layers. */
export interface GraphRule {
  /** "perConsumer": each layer has an input quantizer of its own; "shared": one per tensor. */
  readonly quantizers: "perConsumer" | "shared";
  /**
   * Operands of elementwise adds: "none" adds in float; "allButOne" leaves the operand that comes
   * straight from a convolution in its accumulator; "all" quantizes every operand.
   */
  readonly addOperands: "none" | "allButOne" | "all";
  /** Whether pooling reads quantized values. */
  readonly poolInputs: boolean;
  /**
   * What layers give: "none" leaves it to the readers; "operators" also quantizes what no reader
   * asks for behind convolutions, dense layers, pools and adds (past a ReLU that follows), so
   * that the whole network is integers; "everyOperator" does so before the ReLU too.
   */
  readonly outputs: "none" | "operators" | "everyOperator";
}

/** The rules by which MQBench numbers its studies of the graph (its table 6). */
export const GRAPH_RULES = {
  1: { quantizers: "perConsumer", addOperands: "none", poolInputs: false, outputs: "none" },
  2: { quantizers: "shared", addOperands: "allButOne", poolInputs: false, outputs: "none" },
  3: { quantizers: "shared", addOperands: "all", poolInputs: false, outputs: "none" },
} as const satisfies Record<number, GraphRule>;

/** Bit widths that a backend can hold. */
export interface BitRange {
  readonly min: number;
  readonly max: number;
  /** Bits that are used of a wider integer: OpenVINO leaves one of eight free. */
  readonly used?: number;
  /** The tensors may also stay in float, while those of the other kind are quantized. */
  readonly float?: boolean;
}

/**
 * What training does about batch norm, by MQBench's numbers: -1 leaves it alone, 0 merges it
 * once, 1 freezes its statistics, 2 folds with the statistics of the batch, 3 scales between
 * those of the batch and the running ones, 4 undoes the running factor and normalizes again.
 */
export const BATCH_NORM_STRATEGIES = [-1, 0, 1, 2, 3, 4] as const;
export type BatchNormStrategy = (typeof BATCH_NORM_STRATEGIES)[number];

/** How a device turns 32-bit sums into the next layer's integers. */
export interface IntegerArithmetic {
  /**
   * By what sums are multiplied: a float32 number; a 31-bit integer and a shift; or, where all
   * scales are powers of two, a shift alone.
   */
  readonly multiplier: "float" | "fixedPoint" | "shift";
  /** Ties: to even; towards positive infinity; away from zero; as AMD's DPU (see `rounding`). */
  readonly rounding: "halfToEven" | "halfUp" | "halfAwayFromZero" | "dpu";
  /**
   * Whether sums of several tensors round each of them to the result's steps before they are added;
   * if absent they are added with headroom and rounded once. Of fixed-point multipliers only.
   */
  readonly roundsAddends?: boolean;
  /**
   * Where two tensors of integers are added in fixed point although layers are not: bits behind the point of the
   * larger factor's mantissa (1 to 2). Ties of such sums are rounded up.
   */
  readonly addFraction?: number;
  /** What says so; "assumed" where the vendor does not publish it. */
  readonly source: string;
}

export interface Source {
  readonly title: string;
  readonly url: string;
}

/** The rules of one deployment library. Data only: nothing here computes. */
export interface BackendProfile {
  /** Equal to the name of its file. */
  readonly name: string;
  readonly title: string;
  readonly hardware: string;
  /** Raised whenever a change here changes results, so that older ones are not reused. */
  readonly version: number;
  readonly weights: TensorScheme;
  readonly activations: TensorScheme;
  readonly graph: GraphRule;
  /**
   * How training treats batch norm unless the matrix says otherwise. All but -1 export a network
   * without batch norm, as devices compute convolution and batch norm as one.
   */
  readonly batchNorm: BatchNormStrategy;
  /** Bit widths that a matrix may choose. */
  readonly bitWidths: { readonly weights: BitRange; readonly activations: BitRange };
  /** Bit width of the first convolution and the last dense layer, weights and inputs. */
  readonly edgeBitWidth: number;
  readonly source: Source;
  /** Absent where no device computes so, or its integers are not whole steps of equal size. */
  readonly arithmetic?: IntegerArithmetic;
  /** Programs here that have this arithmetic, besides onnxruntime, on which every profile runs. */
  readonly runtimes?: readonly string[];
  /** Where fields have another source than the profile: the field and what says so. */
  readonly provenance?: Readonly<Record<string, string>>;
  /** Choices that the source leaves open or contradicts, for the report. */
  readonly notes: readonly string[];
}

export const MQBENCH: Source = {
  title:
    "MQBench: Towards Reproducible and Deployable Model Quantization Benchmark (Li et al., NeurIPS 2021), hardware table",
  url: "https://arxiv.org/abs/2111.03759",
};

export const MQBENCH_TOOLKIT: Source = {
  title: "MQBench toolkit (ModelTC), backend definitions and their documentation",
  url: "https://github.com/ModelTC/MQBench",
};

/** Devices run 8 bits; what lies below is a study of their number formats, as in MQBench. */
export const UP_TO_8_BITS: BitRange = { min: 2, max: 8 };
export const ONLY_8_BITS: BitRange = { min: 8, max: 8 };
