import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { accumulatorSteps, dequantized, encodingOf, isCodebook } from "../../freeze/index.js";
import type { Attributes, OnnxType } from "../../onnx/index.js";
import { biasCodes, fitInt32, kernelOf } from "../layers.js";
import { fakeQuantize } from "./fakeQuantize.js";
import { convolutionAttributes, ONNX_KERNELS } from "./model.js";
import { gridConstants, smallestType, storageType } from "./storage.js";
import { valueOf, type Writing } from "./writing.js";

export function convolution(node: ConvNode, writing: Writing): string {
  const { dilations, ...rest } = convolutionAttributes(node);
  const { group, ...window } = rest;
  const dilated = dilations.some((step) => step > 1);
  return layer(node, writing, dilated ? { ...window, dilations, group } : rest);
}

export const dense = (node: DenseNode, writing: Writing): string => layer(node, writing, {});

function layer(node: ConvNode | DenseNode, writing: Writing, attributes: Attributes): string {
  const { frozen, graph } = writing;
  const operator = node.op === "dense" ? "Gemm" : "Conv";
  const inputs = [inputOf(node, writing), kernel(node, writing)];
  const bias = frozen.biases.get(node.name);
  if (bias === undefined) return graph.add(operator, inputs, attributes, node.name);
  const constant = biasConstant(node, writing, bias);
  if (constant !== undefined)
    return graph.add(operator, [...inputs, constant], attributes, node.name);
  // Added apart, since onnxruntime 1.30 rejects a quantized convolution with a float bias.
  const sums = graph.add(operator, inputs, attributes);
  const shape = node.op === "dense" ? [bias.length] : [bias.length, 1, 1];
  return graph.add("Add", [sums, graph.constant("float32", shape, bias)], {}, node.name);
}

/**
 * What a layer reads. One whose weights are in float, or levels of a table, gets a quantized input that was given its one scale for each channel
 * (for each row, where there is one channel): behind a single scale onnxruntime 1.30 quantizes such weights by
 * itself, per tensor, and computes something else.
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/optimizer/qdq_transformer/weight_bias_quantization.cc
 */
function inputOf(node: ConvNode | DenseNode, writing: Writing): string {
  const { frozen, graph, codes, shapeOf } = writing;
  const quantized = codes.get(node.input);
  const grid = frozen.activations.get(node.input);
  const [...pixels] = shapeOf(node.input);
  const extents = [pixels.pop() ?? 1, ...pixels];
  const axis = extents.findIndex((extent) => extent > 1);
  const weight = frozen.weights.get(`${node.name}/kernel`);
  const inSteps = weight !== undefined && !isCodebook(weight.on);
  if (inSteps || quantized === undefined || axis < 0) return valueOf(writing, node.input);
  if (grid === undefined || isCodebook(grid)) return valueOf(writing, node.input);
  const ofEach = ([value = 0]: Float32Array) => new Float32Array(extents[axis] ?? 1).fill(value);
  const many = { scale: ofEach(grid.scale), zeroPoint: ofEach(grid.zeroPoint) };
  const inputs = [quantized.tensor, ...gridConstants(graph, many, { type: quantized.type })];
  return graph.add("DequantizeLinear", inputs, { axis: axis + 1 });
}

/**
 * In steps of the accumulator where there are any. A channel whose weights all but vanish has
 * steps too small to hold its bias in 32 bits: then there is none.
 */
function biasConstant(
  node: ConvNode | DenseNode,
  { frozen, graph, quantizers, free }: Writing,
  bias: Float32Array,
): string | undefined {
  const name = free(`${node.name} bias`);
  // Models with FakeQuantize keep their biases in float.
  const steps = quantizers === "integers" ? accumulatorSteps(frozen, node) : undefined;
  const codes = steps && biasCodes(frozen, node, steps)?.map(Math.fround);
  const shape = [bias.length];
  if (steps === undefined || codes === undefined)
    return graph.constant("float32", shape, bias, name);
  if (!fitInt32(codes)) return undefined;
  const inputs = [
    graph.constant("int32", shape, codes),
    graph.constant("float32", shape, steps),
    graph.constant("int32", shape, new Int32Array(bias.length)),
  ];
  return graph.add("DequantizeLinear", inputs, { axis: 0 }, name);
}

function kernel(node: ConvNode | DenseNode, writing: Writing): string {
  const { frozen, graph, quantizers, siteOf, free } = writing;
  const { id, shape, ordered } = kernelOf(frozen.network, node, ONNX_KERNELS);
  const name = free(id);
  const weight = frozen.weights.get(id);
  if (weight === undefined) {
    const data = frozen.kernels.get(id)?.data;
    if (data === undefined) throw new Error(`kernel "${id}" was not frozen`);
    return graph.constant("float32", shape, ordered(data), name);
  }
  const axis = node.op === "dense" ? 1 : 0;
  if (quantizers === "fakeQuantize") {
    const values = ordered(dequantized(frozen, id));
    const constant = graph.constant("float32", shape, values, free(`${id} values`));
    const encoding = encodingOf(siteOf(id), weight.on);
    return fakeQuantize(graph, constant, { ...encoding, rank: shape.length, axis, name });
  }
  const codes = (type: OnnxType) =>
    graph.constant(type, shape, ordered(weight.codes), free(`${id} codes`));
  if (isCodebook(weight.on)) {
    const { levels } = weight.on;
    const table = graph.constant("float32", [levels.length], levels);
    const places = codes("int32");
    return graph.add("Gather", [table, places], { axis: 0 }, name);
  }
  const type = writing.packWeights ? smallestType(siteOf(id)) : storageType(siteOf(id));
  const own = free(`${id} zero point`);
  const inputs = [codes(type), ...gridConstants(graph, weight.on, { type, own })];
  return graph.add("DequantizeLinear", inputs, { axis }, name);
}
