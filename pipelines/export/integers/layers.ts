import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { accumulatorSteps, isCodebook } from "../../freeze/index.js";
import { dataTypeCode } from "../../onnx/index.js";
import { int32Bias, kernelOf } from "../layers.js";
import { convolutionAttributes, ONNX_KERNELS } from "../onnx/model.js";
import type { Codes } from "./steps.js";
import { OFFSET, onGrid, refuse, sumOf, type Value, type Writing } from "./values.js";

const LARGEST_PRODUCT = 255 * 255;
/** Up to here float32 holds every whole number. */
const EXACT_IN_FLOAT32 = 2 ** 24;

/** 32-bit sums in steps of the accumulator, the bias among them. */
export function layer(node: ConvNode | DenseNode, writing: Writing): Value {
  const { frozen, graph } = writing;
  const codes = onGrid(writing, node.input)?.codes;
  const steps = accumulatorSteps(frozen, node);
  if (codes === undefined || steps === undefined)
    return refuse(node.name, "its weights or inputs are not integers");
  const sums = products(node, writing, codes);
  const bias = int32Bias(frozen, node, { steps, refuse });
  return sumOf({ tensor: bias === undefined ? sums : withBias(bias), steps, divisor: 1 });

  function withBias(whole: readonly number[]): string {
    const constant = graph.constant("int32", perChannel(node, whole.length), whole);
    return graph.add("Add", [sums, constant]);
  }
}

/** Shape of constants that have a value for each channel of a layer's result. */
const perChannel = ({ op }: ConvNode | DenseNode, channels: number): number[] =>
  op === "dense" ? [channels] : [channels, 1, 1];

/** 32-bit sums of products of both operands' integers less their zero points. */
function products(node: ConvNode | DenseNode, writing: Writing, input: Codes): string {
  const { graph, free } = writing;
  const { id, shape, stored, zeros } = storedKernel(node, writing);
  const taps = stored.length / (shape[0] ?? 1);
  if (node.op === "conv2d" && node.depthwise && taps * LARGEST_PRODUCT < EXACT_IN_FLOAT32) {
    const zeroOf = (i: number) => zeros[zeros.length === 1 ? 0 : Math.floor(i / taps)] ?? 0;
    const centeredCodes = stored.map((code, i) => code - zeroOf(i));
    const kernel = graph.constant("float32", shape, centeredCodes, free(id));
    return depthwiseSums(node, writing, { input, kernel });
  }
  const common = new Set(zeros).size === 1 ? (zeros[0] ?? 0) : undefined;
  const byte = (value: number) => graph.constant("uint8", [], [value]);
  const multiply = (kernel: string, zero: number): string => {
    const inputs = [input.tensor, kernel, byte(input.zeroPoint), byte(zero)];
    return node.op === "dense"
      ? graph.add("MatMulInteger", inputs)
      : graph.add("ConvInteger", inputs, convolutionAttributes(node));
  };
  const sums = multiply(graph.constant("uint8", shape, stored, free(id)), common ?? 0);
  if (common !== undefined) return sums;
  // One zero point for each filter: what it adds is the sum of the inputs under the window.
  const ones = graph.constant("uint8", shape, new Uint8Array(stored.length).fill(1));
  const constant = graph.constant("int32", perChannel(node, zeros.length), zeros);
  return graph.add("Sub", [sums, graph.add("Mul", [multiply(ones, 0), constant])]);
}

/** A layer's weights and their zero points, unsigned: onnxruntime multiplies those several times faster. */
function storedKernel(node: ConvNode | DenseNode, { frozen, siteOf }: Writing) {
  const { id, shape, ordered } = kernelOf(frozen.network, node, ONNX_KERNELS);
  const weight = frozen.weights.get(id);
  if (weight === undefined || isCodebook(weight.on)) return refuse(id, "its steps are not equal");
  const offset = siteOf(id).scheme.signed ? OFFSET : 0;
  return {
    ...{ id, shape },
    stored: ordered(weight.codes).map((code) => code + offset),
    zeros: weight.on.zeroPoint.map((zero) => zero + offset),
  };
}

/** By a float convolution of whole numbers, which is exact here and ten times faster. */
function depthwiseSums(
  node: ConvNode,
  { graph }: Writing,
  { input, kernel }: { readonly input: Codes; readonly kernel: string },
): string {
  const zeroPoint = graph.constant("uint8", [], [input.zeroPoint]);
  const x = graph.add("DequantizeLinear", [input.tensor, graph.scalar(1), zeroPoint]);
  const sums = graph.add("Conv", [x, kernel], convolutionAttributes(node));
  return graph.add("Cast", [sums], { to: dataTypeCode("int32") });
}
