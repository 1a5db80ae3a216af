import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { accumulatorSteps, isCodebook } from "../../freeze/index.js";
import { int32Bias, kernelOf } from "../layers.js";
import { convolutionAttributes, ONNX_KERNELS } from "../onnx/model.js";
import { gridConstants, storageType } from "../onnx/storage.js";
import { codesOf, operand, refuse, waiting, type Value, type Writing } from "./values.js";

export function convolution(node: ConvNode, writing: Writing): Value {
  const { type, inputs, bias } = operands(node, writing);
  return waiting(writing, type, {
    real: () => refuse(node.name, "its sums are needed in real numbers"),
    into: ({ grid, name }) => {
      const all = [...inputs, ...grid, ...(bias === undefined ? [] : [bias])];
      return writing.graph.add("QLinearConv", all, convolutionAttributes(node), name);
    },
  });
}

export function dense(node: DenseNode, writing: Writing): Value {
  const { type, inputs, bias = "" } = operands(node, writing);
  const gemm = (grid: readonly string[], name?: string) =>
    writing.graph.add("com.microsoft:QGemm", [...inputs, bias, ...grid], { transB: 0 }, name);
  return waiting(writing, type, {
    real: () => gemm([]),
    into: ({ grid, name }) => gemm(grid, name),
  });
}

/** Inputs of a layer's operator: values, scale and zero point of the image and the weights. */
function operands(node: ConvNode | DenseNode, writing: Writing) {
  const { frozen, graph } = writing;
  const { id, shape, ordered } = kernelOf(frozen.network, node, ONNX_KERNELS);
  const x = codesOf(writing, node.input);
  const weight = frozen.weights.get(id);
  const steps = accumulatorSteps(frozen, node);
  if (x === undefined || weight === undefined || isCodebook(weight.on) || steps === undefined)
    return refuse(node.name, "its weights or inputs are not integers");
  const type = storageType(writing.siteOf(id));
  const codes = graph.constant(type, shape, ordered(weight.codes), writing.free(id));
  const own = writing.free(`${id} zero point`);
  const inputs = [...operand(x), codes, ...gridConstants(graph, weight.on, { type, own })];
  const bias = int32Bias(frozen, node, { steps, refuse });
  return { type: x.type, inputs, bias: bias && graph.constant("int32", [bias.length], bias) };
}
