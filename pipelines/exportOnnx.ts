import type { QuantizerSite } from "../algorithms/algorithm.js";
import { rangeOf } from "../algorithms/affine.js";
import type { FrozenGrid, FrozenNetwork } from "./freeze.js";
import {
  featureShapes,
  findNode,
  parameterSpecs,
  type ConvNode,
  type DenseNode,
  type NetworkNode,
} from "./network/network.js";
import { OnnxGraph, type OnnxType } from "./onnx/onnxGraph.js";

export const IMAGE_INPUT = "image";
export const LOGITS_OUTPUT = "logits";

/**
 * Writes a network as ONNX: NCHW, quantizers as QuantizeLinear / DequantizeLinear pairs, weights
 * as 8-bit integers. Where a range is smaller than its type's (4 bits, narrow ranges), a Clip on
 * the integers keeps it. Biases become int32 with the scale of the accumulator, as devices hold
 * them. Each site's bit width and range are in the model's metadata.
 */
export function exportOnnx(frozen: FrozenNetwork, name: string): Uint8Array {
  const { network, sites } = frozen;
  const graph = new OnnxGraph();
  const shapes = featureShapes(network);
  const byId = new Map(sites.map((site) => [site.id, site]));
  const names = new Map<string, string>(); // node -> ONNX value
  const valueOf = (node: string): string => {
    const value = names.get(node);
    if (value === undefined) throw new Error(`export reads "${node}" before it is written`);
    return value;
  };
  for (const node of network.nodes) names.set(node.name, write(node));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  graph.output(LOGITS_OUTPUT, valueOf(last.name), "float32", [
    "batch",
    ...(shapes.get(last.name) ?? []),
  ]);
  for (const site of sites) {
    graph.describe(
      `quantbench.site.${site.id}`,
      JSON.stringify({ ...site.scheme, ...rangeOf(site) }),
    );
  }
  return graph.toBytes(name);

  function write(node: NetworkNode): string {
    switch (node.op) {
      case "input": {
        const [height = 1, width = 1, channels = 1] = node.shape;
        return graph.input(IMAGE_INPUT, "float32", ["batch", channels, height, width]);
      }
      case "conv2d":
        return convolution(node);
      case "dense":
        return graph.add("Gemm", layerInputs(node), {}, node.name);
      case "batchNorm":
        return batchNorm(node.name, valueOf(node.input));
      case "relu":
        return graph.add("Relu", [valueOf(node.input)], {}, node.name);
      case "relu6":
        return graph.add(
          "Clip",
          [valueOf(node.input), graph.scalar(0), graph.scalar(6)],
          {},
          node.name,
        );
      case "add":
        return graph.add("Add", node.inputs.map(valueOf), {}, node.name);
      case "globalAveragePool": {
        const pooled = graph.add("GlobalAveragePool", [valueOf(node.input)], {}, node.name);
        return graph.add("Flatten", [pooled]);
      }
      case "quantize":
        return quantize(siteOf(node.name), valueOf(node.input));
      default:
        return node satisfies never;
    }
  }

  function siteOf(id: string): QuantizerSite {
    const site = byId.get(id);
    if (site === undefined) throw new Error(`no quantizer site "${id}"`);
    return site;
  }

  function quantize(site: QuantizerSite, x: string): string {
    const grid = frozen.activations.get(site.id);
    if (grid === undefined) throw new Error(`activation "${site.id}" was not frozen`);
    const type = storageType(site);
    const [scale, zeroPoint] = gridConstants(grid, type);
    const codes = graph.add("QuantizeLinear", [x, scale, zeroPoint]);
    return graph.add(
      "DequantizeLinear",
      [keepRange(site, codes, type), scale, zeroPoint],
      {},
      site.id,
    );
  }

  function keepRange(site: QuantizerSite, codes: string, type: "int8" | "uint8"): string {
    const { quantMin, quantMax } = rangeOf(site);
    const [typeMin, typeMax] = type === "int8" ? [-128, 127] : [0, 255];
    if (quantMin === typeMin && quantMax === typeMax) return codes;
    const bound = (value: number) => graph.constant(type, [], [value]);
    return graph.add("Clip", [codes, bound(quantMin), bound(quantMax)]);
  }

  function gridConstants({ scale, zeroPoint }: FrozenGrid, type: OnnxType): [string, string] {
    const shape = scale.length === 1 ? [] : [scale.length];
    return [graph.constant("float32", shape, scale), graph.constant(type, shape, zeroPoint)];
  }

  function convolution(node: ConvNode): string {
    const pad = (node.kernelSize - 1) / 2;
    const attributes = {
      kernel_shape: [node.kernelSize, node.kernelSize],
      strides: [node.stride, node.stride],
      pads: [pad, pad, pad, pad],
      group: node.depthwise ? node.filters : 1,
    };
    return graph.add("Conv", layerInputs(node), attributes, node.name);
  }

  function layerInputs(node: ConvNode | DenseNode): string[] {
    const bias = frozen.biases.get(node.name);
    const inputs = [valueOf(node.input), kernel(node)];
    return bias === undefined ? inputs : [...inputs, biasConstant(node, bias)];
  }

  /** tfjs kernels are HWIO (depthwise HWC1), ONNX's OIHW; dense kernels agree. */
  function kernel(node: ConvNode | DenseNode): string {
    const id = `${node.name}/kernel`;
    const shape = parameterSpecs(network).get(id)?.shape ?? [];
    const order = node.op === "dense" ? [0, 1] : node.depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1];
    const onnxShape = order.map((axis) => shape[axis] ?? 1);
    const weight = frozen.weights.get(id);
    if (weight === undefined) {
      const data = frozen.kernels.get(id)?.data;
      if (data === undefined) throw new Error(`kernel "${id}" was not frozen`);
      return graph.constant("float32", onnxShape, transpose(data, shape, order), id);
    }
    const type = storageType(siteOf(id));
    const codes = graph.constant(
      type,
      onnxShape,
      transpose(weight.codes, shape, order),
      `${id} codes`,
    );
    const [scale, zeroPoint] = gridConstants(weight, type);
    const axis = node.op === "dense" ? 1 : 0;
    return graph.add("DequantizeLinear", [codes, scale, zeroPoint], { axis }, id);
  }

  function biasConstant(node: ConvNode | DenseNode, bias: Float32Array): string {
    const weight = frozen.weights.get(`${node.name}/kernel`);
    const producer = findNode(network, node.input);
    const input = producer.op === "quantize" ? frozen.activations.get(producer.name) : undefined;
    const asFloat = () => graph.constant("float32", [bias.length], bias, `${node.name} bias`);
    if (weight === undefined || input === undefined) return asFloat();
    const scale = Float32Array.from(bias, (_, channel) => {
      const weightScale = weight.scale[weight.scale.length === 1 ? 0 : channel] ?? 1;
      return weightScale * (input.scale[0] ?? 1);
    });
    const codes = bias.map((value, channel) => Math.round(value / (scale[channel] ?? 1)));
    if (codes.some((code) => Math.abs(code) >= 2 ** 31)) return asFloat();
    return graph.add(
      "DequantizeLinear",
      [
        graph.constant("int32", [bias.length], codes),
        graph.constant("float32", [bias.length], scale),
        graph.constant("int32", [bias.length], new Int32Array(bias.length)),
      ],
      { axis: 0 },
      `${node.name} bias`,
    );
  }

  function batchNorm(name: string, x: string): string {
    const parameters = frozen.batchNorms.get(name);
    if (parameters === undefined) throw new Error(`batch norm "${name}" was not frozen`);
    const { gamma, beta, mean, variance, epsilon } = parameters;
    const vectors = [gamma, beta, mean, variance].map((data) =>
      graph.constant("float32", [data.length], data),
    );
    return graph.add("BatchNormalization", [x, ...vectors], { epsilon: { float: epsilon } }, name);
  }
}

const storageType = (site: QuantizerSite): "int8" | "uint8" =>
  site.scheme.signed ? "int8" : "uint8";

function transpose(
  data: ArrayLike<number>,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const result = new Float32Array(data.length);
  const sizes = order.map((axis) => shape[axis] ?? 1);
  const index = sizes.map(() => 0);
  for (let target = 0; target < result.length; target++) {
    const source = order.reduce((sum, axis, i) => sum + (index[i] ?? 0) * (strides[axis] ?? 1), 0);
    result[target] = data[source] ?? 0;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (sizes[axis] ?? 1)) break;
      index[axis] = 0;
    }
  }
  return result;
}
