import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import type { QuantRange } from "../../backends/scheme.js";
import {
  accumulatorSteps,
  dequantized,
  encodingOf,
  type FrozenGrid,
  type FrozenNetwork,
  isClippedByCodes,
  isCodebook,
  keptRange,
} from "../freeze/index.js";
import {
  definitionOf,
  existing,
  featureShapes,
  parameterSpecs,
  windowOf,
} from "../network/index.js";
import type { ConvNode, DenseNode, NetworkNode, QuantizeNode } from "../../algorithms/network.js";
import { fakeQuantize } from "./onnx/fakeQuantize.js";
import { dpuRounded, lookUp } from "./onnx/rounding.js";
import { smallestType, STORAGE_RANGES, storageType, type StorageType } from "./onnx/storage.js";
import { IMAGE_INPUT, LOGITS_OUTPUT } from "../session.js";
import { OnnxGraph, type Attributes, type OnnxType } from "../onnx/index.js";

/** The output that shows an activation site's values, where sites are exposed. */
export const exposedName = (site: string): string => `${site} exposed`;

export interface ExportOptions {
  /** Every quantized activation is an output too. */
  readonly exposeSites?: boolean;
  /** Weights of up to 4 bits are stored in 4, not in 8. */
  readonly packWeights?: boolean;
  /** Quantizers as integers and back, or as OpenVINO's FakeQuantize on float values. */
  readonly quantizers?: "integers" | "fakeQuantize";
}

/**
 * Writes a network as ONNX: NCHW, quantizers as QuantizeLinear / DequantizeLinear pairs, weights
 * as 8-bit integers. Where a range is smaller than its type's (4 bits, narrow ranges), a Clip on
 * the integers keeps it. Biases become int32 with the scale of the accumulator, as devices hold
 * them. Each site's bit width and range are in the model's metadata.
 */
export function exportOnnx(
  frozen: FrozenNetwork,
  name: string,
  { exposeSites = false, packWeights = false, quantizers = "integers" }: ExportOptions = {},
): Uint8Array {
  const { network, sites } = frozen;
  const graph = new OnnxGraph();
  const shapes = featureShapes(network);
  const byId = new Map(sites.map((site) => [site.id, site]));
  const names = new Map<string, string>(); // node -> ONNX value
  /** Pools whose values still have axes of rows and columns, of one each. */
  const spatial = new Set<string>();
  const written = (node: string): string => {
    const value = names.get(node);
    if (value === undefined) throw new Error(`export reads "${node}" before it is written`);
    return value;
  };
  const valueOf = (node: string): string =>
    spatial.has(node) ? graph.add("Flatten", [written(node)]) : written(node);
  for (const node of network.nodes) names.set(node.name, write(node));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  graph.output(LOGITS_OUTPUT, valueOf(last.name), "float32", [
    "batch",
    ...(shapes.get(last.name) ?? []),
  ]);
  for (const site of sites) {
    if (exposeSites && site.role === "activation") expose(site.id);
    graph.describe(
      `quantbench.site.${site.id}`,
      JSON.stringify({ ...site.scheme, ...rangeOf(site) }),
    );
  }
  return graph.toBytes(name);

  function expose(id: string): void {
    const [...dimensions] = shapes.get(id) ?? [];
    const channels = dimensions.pop() ?? 1;
    graph.output(exposedName(id), valueOf(id), "float32", ["batch", channels, ...dimensions]);
  }

  function write(node: NetworkNode): string {
    switch (node.op) {
      case "input": {
        const [height = 1, width = 1, channels = 1] = node.shape;
        return graph.input(IMAGE_INPUT, "float32", ["batch", channels, height, width]);
      }
      case "conv2d":
        return convolution(node);
      case "dense":
        return layer("Gemm", node, {});
      case "batchNorm":
        return batchNorm(node.name, valueOf(node.input));
      case "relu":
        return graph.add("Relu", [valueOf(node.input)], {}, node.name);
      case "relu6": {
        const x = valueOf(node.input);
        if (quantizers === "integers" && isClippedByCodes(frozen, node.name)) return x;
        return graph.add("Clip", [x, graph.scalar(0), graph.scalar(6)], {}, node.name);
      }
      case "add":
        return graph.add("Add", node.inputs.map(valueOf), {}, node.name);
      case "globalAveragePool": {
        if (!node.keepsAxes) spatial.add(node.name);
        return graph.add("GlobalAveragePool", [valueOf(node.input)], {}, node.name);
      }
      case "maxPool": {
        const { size, stride, padding } = windowOf(node);
        const attributes = { kernel_shape: size, strides: stride, pads: padding };
        return graph.add("MaxPool", [valueOf(node.input)], attributes, node.name);
      }
      case "concat":
        return graph.add("Concat", node.inputs.map(valueOf), { axis: 1 }, node.name);
      case "permuteChannels":
        return graph.add(
          "Gather",
          [valueOf(node.input), graph.integers(node.order)],
          { axis: 1 },
          node.name,
        );
      case "quantize":
        return quantize(siteOf(node.name), node);
      case "float":
        return definitionOf(node.operation).onnx(node.operation, {
          graph,
          inputs: node.inputs.map(valueOf),
          shapes: node.inputs.map((input) => shapes.get(input) ?? []),
          parameter: (key) => existing(frozen.floats, `${node.name}/${key}`),
          name: node.name,
        });
      default:
        return node satisfies never;
    }
  }

  function siteOf(id: string): QuantizerSite {
    const site = byId.get(id);
    if (site === undefined) throw new Error(`no quantizer site "${id}"`);
    return site;
  }

  function quantize(site: QuantizerSite, node: QuantizeNode): string {
    const levels = frozen.activations.get(site.id);
    if (levels === undefined) throw new Error(`activation "${site.id}" was not frozen`);
    if (quantizers === "fakeQuantize") {
      const encoding = encodingOf(site, levels);
      return fakeQuantize(graph, valueOf(node.input), {
        ...encoding,
        ...{ rank: 0, axis: 0, name: site.id },
      });
    }
    if (isCodebook(levels)) return lookUp(graph, valueOf(node.input), { levels, name: site.id });
    const type = storageType(site);
    const [scale, zeroPoint] = gridConstants(levels, type);
    // onnxruntime pools in integers only where the quantizer is next to the pool.
    const x = written(node.input);
    const rounded = site.scheme.rounding === "dpu" ? dpuRounded(graph, x, levels) : x;
    const quantized = graph.add("QuantizeLinear", [rounded, scale, zeroPoint]);
    const codes = spatial.has(node.input) ? graph.add("Flatten", [quantized]) : quantized;
    const kept = clipCodes(codes, type, keptRange(frozen, site));
    return graph.add("DequantizeLinear", [kept, scale, zeroPoint], {}, site.id);
  }

  function clipCodes(codes: string, type: StorageType, range: QuantRange): string {
    const [typeMin, typeMax] = STORAGE_RANGES[type];
    if (range.quantMin === typeMin && range.quantMax === typeMax) return codes;
    const bound = (value: number) => graph.constant(type, [], [value]);
    return graph.add("Clip", [codes, bound(range.quantMin), bound(range.quantMax)]);
  }

  function gridConstants({ scale, zeroPoint }: FrozenGrid, type: OnnxType): [string, string] {
    const shape = scale.length === 1 ? [] : [scale.length];
    return [graph.constant("float32", shape, scale), graph.constant(type, shape, zeroPoint)];
  }

  function convolution(node: ConvNode): string {
    const { size, stride, padding, dilation } = windowOf({ ...node, size: node.kernelSize });
    return layer("Conv", node, {
      kernel_shape: size,
      strides: stride,
      pads: padding,
      ...(dilation.some((step) => step > 1) && { dilations: dilation }),
      group: node.depthwise ? node.filters : (node.groups ?? 1),
    });
  }

  function layer(operator: string, node: ConvNode | DenseNode, attributes: Attributes): string {
    const inputs = [valueOf(node.input), kernel(node)];
    const bias = frozen.biases.get(node.name);
    if (bias === undefined) return graph.add(operator, inputs, attributes, node.name);
    // Models with FakeQuantize keep their biases in float.
    const accumulator = quantizers === "integers" ? accumulatorSteps(frozen, node) : undefined;
    if (accumulator === undefined) {
      const constant = graph.constant("float32", [bias.length], bias, `${node.name} bias`);
      return graph.add(operator, [...inputs, constant], attributes, node.name);
    }
    const codes = bias.map((value, channel) => Math.round(value / (accumulator[channel] ?? 1)));
    if (codes.every((code) => Math.abs(code) < 2 ** 31)) {
      const constant = integerBias(node.name, codes, accumulator);
      return graph.add(operator, [...inputs, constant], attributes, node.name);
    }
    // A channel whose weights all but vanish has steps too small to hold its bias in 32 bits. Added
    // apart, since onnxruntime 1.30 rejects a quantized convolution with a float bias.
    const sums = graph.add(operator, inputs, attributes);
    const shape = node.op === "dense" ? [bias.length] : [bias.length, 1, 1];
    return graph.add("Add", [sums, graph.constant("float32", shape, bias)], {}, node.name);
  }

  function integerBias(layerName: string, codes: Float32Array, steps: Float32Array): string {
    const shape = [codes.length];
    const inputs = [
      graph.constant("int32", shape, codes),
      graph.constant("float32", shape, steps),
      graph.constant("int32", shape, new Int32Array(codes.length)),
    ];
    return graph.add("DequantizeLinear", inputs, { axis: 0 }, `${layerName} bias`);
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
    const axis = node.op === "dense" ? 1 : 0;
    if (quantizers === "fakeQuantize") {
      const values = transpose(dequantized(frozen, id), shape, order);
      const constant = graph.constant("float32", onnxShape, values, `${id} values`);
      const encoding = encodingOf(siteOf(id), weight.on);
      return fakeQuantize(graph, constant, { ...encoding, rank: shape.length, axis, name: id });
    }
    if (isCodebook(weight.on)) {
      const { levels } = weight.on;
      const places = transpose(weight.codes, shape, order);
      return graph.add(
        "Gather",
        [
          graph.constant("float32", [levels.length], levels),
          graph.constant("int32", onnxShape, places, `${id} codes`),
        ],
        { axis: 0 },
        id,
      );
    }
    const type = packWeights ? smallestType(siteOf(id)) : storageType(siteOf(id));
    const codes = graph.constant(
      type,
      onnxShape,
      transpose(weight.codes, shape, order),
      `${id} codes`,
    );
    const [scale, zeroPoint] = gridConstants(weight.on, type);
    return graph.add("DequantizeLinear", [codes, scale, zeroPoint], { axis }, id);
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

/** Elements in another order of the axes. */
export function transpose(
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
