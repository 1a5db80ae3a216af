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
   * Whether the device computes convolution and batch norm as one. Training then quantizes the
   * folded weight and measures the batch statistics of the quantized convolution (strategy 4 of
   * MQBench, PyTorch's), and the exported network has no batch norm.
   */
  readonly foldBatchNorm: boolean;
  /** Bit width of the first convolution and the last dense layer, weights and inputs. */
  readonly edgeBitWidth: number;
  readonly source: Source;
  /** Choices that the source leaves open or contradicts, for the report. */
  readonly notes: readonly string[];
}

export const MQBENCH: Source = {
  title:
    "MQBench: Towards Reproducible and Deployable Model Quantization Benchmark (Li et al., NeurIPS 2021), hardware table",
  url: "https://arxiv.org/abs/2111.03759",
};
