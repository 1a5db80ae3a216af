import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { accumulatorSteps, isCodebook } from "../../freeze/index.js";
import { int32Bias, kernelOf } from "../layers.js";
import { convolutionAttributes, ONNX_KERNELS } from "../onnx/model.js";
import { cast, type Codes } from "./steps.js";
import { OFFSET, onGrid, refuse, sumOf, type Value, type Writing } from "./values.js";

/** Up to here float32 holds every whole number. */
const EXACT_IN_FLOAT32 = 2 ** 24;

/** 32-bit sums in steps of the accumulator, the bias among them. */
export function layer(node: ConvNode | DenseNode, writing: Writing): Value {
  const { frozen, graph } = writing;
  const codes = onGrid(writing, node.input)?.codes;
  const steps = accumulatorSteps(frozen, node);
  if (codes === undefined || steps === undefined)
    return refuse(node.name, "its weights or inputs are not integers");
  const bias = int32Bias(frozen, node, { steps, refuse });
  const kernel = storedKernel(node, writing);
  if (node.op === "conv2d" && largestSum({ codes, kernel, bias }) < EXACT_IN_FLOAT32)
    return sumOf({
      tensor: sumsInFloat(node, writing, { codes, kernel, bias }),
      steps,
      divisor: 1,
    });
  const sums = products(node, writing, codes, kernel);
  if (bias === undefined) return sumOf({ tensor: sums, steps, divisor: 1 });
  const constant = graph.constant("int32", perChannel(node, bias.length), bias);
  return sumOf({ tensor: graph.add("Add", [sums, constant]), steps, divisor: 1 });
}

/** Shape of constants that have a value for each channel of a layer's result. */
const perChannel = ({ op }: ConvNode | DenseNode, channels: number): number[] =>
  op === "dense" ? [channels] : [channels, 1, 1];

/** A layer's weights and their zero points, unsigned. */
interface Kernel {
  readonly id: string;
  /** Filters first. */
  readonly shape: readonly number[];
  readonly stored: Float32Array;
  /** One for all filters, or one for each. */
  readonly zeros: Float32Array;
}

interface Operands {
  readonly codes: Codes;
  readonly kernel: Kernel;
  readonly bias: readonly number[] | undefined;
}

/** No sum of products and bias, nor any part of one, is larger. */
function largestSum({ codes: { zeroPoint }, kernel, bias = [] }: Operands): number {
  const { shape, stored, zeros } = kernel;
  const taps = stored.length / (shape[0] ?? 1);
  const reach = Math.max(zeroPoint, 255 - zeroPoint);
  const sums = Array.from({ length: shape[0] ?? 0 }, (_, filter) => {
    const zero = zeros[zeros.length === 1 ? 0 : filter] ?? NaN;
    const weights = stored.slice(filter * taps, (filter + 1) * taps);
    const products = weights.reduce((sum, code) => sum + Math.abs(code - zero) * reach, 0);
    return products + Math.abs(bias[filter] ?? 0);
  });
  return Math.max(...sums);
}

/** By a float convolution of whole numbers, which is exact where none gets too large, and faster. */
function sumsInFloat(
  node: ConvNode,
  { graph, free }: Writing,
  { codes, kernel: { id, shape, stored, zeros }, bias }: Operands,
): string {
  const zeroPoint = graph.constant("uint8", [], [codes.zeroPoint]);
  const x = graph.add("DequantizeLinear", [codes.tensor, graph.scalar(1), zeroPoint]);
  const kernel = graph.constant("uint8", shape, stored, free(id)); // runtimes fold what follows
  const perFilter = zeros.length === 1 ? [] : [zeros.length, ...shape.slice(1).map(() => 1)];
  const whole = graph.add("Sub", [
    cast(graph, kernel, "float32"),
    graph.constant("float32", perFilter, zeros),
  ]);
  const inputs = [x, whole];
  if (bias !== undefined) inputs.push(graph.constant("float32", [bias.length], bias));
  const sums = graph.add("Conv", inputs, convolutionAttributes(node));
  // Without this, onnxruntime multiplies the factors that follow into the kernel.
  return cast(graph, sums, "int32");
}

/** 32-bit sums of products of both operands' integers less their zero points. */
function products(
  node: ConvNode | DenseNode,
  { graph, free }: Writing,
  input: Codes,
  { id, shape, stored, zeros }: Kernel,
): string {
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

/** Unsigned: onnxruntime multiplies those several times faster. */
function storedKernel(node: ConvNode | DenseNode, { frozen, siteOf }: Writing): Kernel {
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
