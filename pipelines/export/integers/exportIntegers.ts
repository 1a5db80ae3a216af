import type { IntegerArithmetic } from "../../../backends/backend.js";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import {
  accumulatorSteps,
  type FrozenNetwork,
  isClippedByCodes,
  isCodebook,
  keptRange,
} from "../../freeze/index.js";
import { exposedName, transpose } from "../exportOnnx.js";
import { IMAGE_INPUT, LOGITS_OUTPUT } from "../../session.js";
import {
  definitionOf,
  existing,
  featureShapes,
  parameterSpecs,
  windowOf,
} from "../../network/index.js";
import type { ConvNode, DenseNode, NetworkNode } from "../../../algorithms/network.js";
import { NoForm } from "../form.js";
import { dataTypeCode, OnnxGraph } from "../../onnx/index.js";
import { bounded, requantize, type Codes, type Target, type Term } from "./requantize.js";

/** What a node gives: a sum of integers that is not on a grid yet, or real numbers. */
type Value = Sum | { readonly real: string };
interface Sum {
  readonly terms: readonly Term[];
  /** Nothing below 0: becomes the lowest integer of the grid that it is put on. */
  readonly rectified: boolean;
}
const isSum = (value: Value): value is Sum => "terms" in value;

const OFFSET = 128; // of signed integers, which are stored unsigned
const LARGEST_PRODUCT = 255 * 255;
/** Up to here float32 holds every whole number. */
const EXACT_IN_FLOAT32 = 2 ** 24;

/**
 * A network in integers, as an ONNX graph: 8-bit storage, 32-bit sums and biases, and a backend's
 * own way from sums to the next integers. Runs on any ONNX runtime, in operators (ConvInteger,
 * MatMulInteger, elementwise ones) that know nothing of scales. What the backend's graph rule
 * leaves in float is computed so, between the integers.
 *
 * @throws NoForm naming the layer or quantizer that is not one of 8-bit integers
 */
export function exportIntegers(
  frozen: FrozenNetwork,
  name: string,
  arithmetic: IntegerArithmetic,
  { exposeSites = false }: { readonly exposeSites?: boolean } = {},
): Uint8Array {
  const { network } = frozen;
  const graph = new OnnxGraph();
  const shapes = featureShapes(network);
  const sites = new Map(frozen.sites.map((site) => [site.id, site]));
  const values = new Map<string, Value>();
  for (const node of network.nodes) values.set(node.name, write(node));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  const shape = shapes.get(last.name) ?? [];
  graph.output(LOGITS_OUTPUT, realOf(last.name), "float32", ["batch", ...shape]);
  for (const { id, role } of frozen.sites) {
    if (!exposeSites || role !== "activation") continue;
    const [...dimensions] = shapes.get(id) ?? [];
    const channels = dimensions.pop() ?? 1;
    graph.output(exposedName(id), realOf(id), "float32", ["batch", channels, ...dimensions]);
  }
  return graph.toBytes(name);

  function valueOf(node: string): Value {
    const value = values.get(node);
    if (value === undefined) throw new Error(`"${node}" is read before it is computed`);
    return value;
  }

  function write(node: NetworkNode): Value {
    switch (node.op) {
      case "input": {
        const [height = 1, width = 1, channels = 1] = node.shape;
        const dimensions = ["batch", channels, height, width];
        return { real: graph.input(IMAGE_INPUT, "float32", dimensions) };
      }
      case "quantize":
        return quantize(siteOf(node.name), node.input);
      case "conv2d":
      case "dense":
        return { terms: [layer(node)], rectified: false };
      case "relu": {
        const value = valueOf(node.input);
        return isSum(value)
          ? { ...value, rectified: true }
          : { real: graph.add("Relu", [value.real]) };
      }
      case "relu6": {
        const value = valueOf(node.input);
        // Its bounds are part of the integers of the quantizers that read it; see `keptRange`.
        if (isSum(value) && isClippedByCodes(frozen, node.name))
          return { ...value, rectified: true };
        const bounds = [graph.scalar(0), graph.scalar(6)];
        return { real: graph.add("Clip", [realOf(node.input), ...bounds]) };
      }
      case "add": {
        const terms = node.inputs.flatMap((input) => {
          const value = valueOf(input);
          return isSum(value) && !value.rectified ? [value.terms] : [];
        });
        if (terms.length === node.inputs.length) return { terms: terms.flat(), rectified: false };
        return { real: graph.add("Add", node.inputs.map(realOf)) };
      }
      case "globalAveragePool": {
        const keepdims = node.keepsAxes ? 1 : 0;
        const axes = graph.integers([2, 3]);
        const term = onGrid(node.input);
        if (term === undefined)
          return { real: graph.add("ReduceMean", [realOf(node.input), axes], { keepdims }) };
        const [height = 1, width = 1] = shapes.get(node.input) ?? [];
        const tensor = graph.add("ReduceSum", [term.tensor, axes], { keepdims });
        const sum = { tensor, steps: term.steps, divisor: height * width };
        return { terms: [sum], rectified: false };
      }
      case "maxPool": {
        const codes = onGrid(node.input)?.codes;
        const { size, stride, padding } = windowOf(node);
        const attributes = { kernel_shape: size, strides: stride, pads: padding };
        if (codes === undefined)
          return { real: graph.add("MaxPool", [realOf(node.input)], attributes) };
        const tensor = graph.add("MaxPool", [codes.tensor], attributes);
        return { terms: [centered({ ...codes, tensor })], rectified: false };
      }
      case "concat":
        return { real: graph.add("Concat", node.inputs.map(realOf), { axis: 1 }) };
      case "permuteChannels": {
        const inputs = [realOf(node.input), graph.integers(node.order)];
        return { real: graph.add("Gather", inputs, { axis: 1 }) };
      }
      case "batchNorm":
        return refuse(node.name, "batch norm is not part of a convolution");
      case "float":
        return {
          real: definitionOf(node.operation).onnx(node.operation, {
            graph,
            inputs: node.inputs.map(realOf),
            shapes: node.inputs.map((input) => shapes.get(input) ?? []),
            parameter: (key) => existing(frozen.floats, `${node.name}/${key}`),
            name: node.name,
          }),
        };
      default:
        return node satisfies never;
    }
  }

  /** The one term of a value that is whole steps, if it is. */
  function onGrid(node: string): Term | undefined {
    const value = valueOf(node);
    return isSum(value) && value.terms.length === 1 && !value.rectified
      ? value.terms[0]
      : undefined;
  }

  function siteOf(id: string): QuantizerSite {
    return sites.get(id) ?? refuse(id, "it is no quantizer");
  }

  function quantize(site: QuantizerSite, input: string): Value {
    const grid = frozen.activations.get(site.id);
    if (grid === undefined || isCodebook(grid)) return refuse(site.id, "its steps are not equal");
    if (site.scheme.bitWidth > 8) return refuse(site.id, "it has more than 8 bits");
    const offset = site.scheme.signed ? OFFSET : 0;
    const { quantMin, quantMax } = keptRange(frozen, site);
    const [scale = 1, zero = 0] = [grid.scale[0], grid.zeroPoint[0]];
    const zeroPoint = zero + offset;
    const range = { low: quantMin + offset, high: quantMax + offset };
    const value = valueOf(input);
    if (!isSum(value)) {
      const constants = [graph.scalar(scale), graph.constant("uint8", [], [zeroPoint])];
      const codes = graph.add("QuantizeLinear", [value.real, ...constants]);
      const tensor = bounded(graph, codes, range);
      return { terms: [centered({ tensor, scale, zeroPoint })], rectified: false };
    }
    const { terms, rectified } = value;
    const target: Target = {
      ...{ scale, zeroPoint, high: range.high },
      low: rectified ? Math.max(range.low, zeroPoint) : range.low,
      pixelAxes: (shapes.get(input)?.length ?? 1) - 1,
    };
    const tensor = requantize(graph, terms, target, arithmetic);
    return { terms: [centered({ tensor, scale, zeroPoint })], rectified: false };
  }

  /** A quantizer's integers less their zero point. */
  function centered(codes: Codes): Term {
    const wide = graph.add("Cast", [codes.tensor], { to: dataTypeCode("int32") });
    const tensor = graph.add("Sub", [wide, graph.constant("int32", [], [codes.zeroPoint])]);
    return { tensor, steps: Float32Array.of(codes.scale), divisor: 1, codes };
  }

  function layer(node: ConvNode | DenseNode): Term {
    const codes = onGrid(node.input)?.codes;
    const steps = accumulatorSteps(frozen, node);
    if (codes === undefined || steps === undefined)
      return refuse(node.name, "its weights or inputs are not integers");
    const sums = products(node, codes);
    const bias = frozen.biases.get(node.name);
    if (bias === undefined) return { tensor: sums, steps, divisor: 1 };
    const whole = Array.from(bias, (value, i) => Math.round(value / (steps[i] ?? 1)));
    if (whole.some((code) => Math.abs(code) >= 2 ** 31))
      return refuse(node.name, "its bias does not fit 32 bits in steps of the accumulator");
    const shape = node.op === "dense" ? [whole.length] : [whole.length, 1, 1];
    const constant = graph.constant("int32", shape, whole);
    return { tensor: graph.add("Add", [sums, constant]), steps, divisor: 1 };
  }

  /** 32-bit sums of products of both operands' integers less their zero points. */
  function products(node: ConvNode | DenseNode, input: Codes): string {
    const id = `${node.name}/kernel`;
    const weight = frozen.weights.get(id);
    if (weight === undefined || isCodebook(weight.on)) return refuse(id, "its steps are not equal");
    const shape = parameterSpecs(network).get(id)?.shape ?? [];
    const order = node.op === "dense" ? [0, 1] : node.depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1];
    // Unsigned on both sides, which onnxruntime multiplies several times faster.
    const offset = siteOf(id).scheme.signed ? OFFSET : 0;
    const zeros = weight.on.zeroPoint.map((zero) => zero + offset);
    const stored = transpose(weight.codes, shape, order).map((code) => code + offset);
    const kernelShape = order.map((axis) => shape[axis] ?? 1);
    const common = new Set(zeros).size === 1 ? (zeros[0] ?? 0) : undefined;
    const byte = (value: number) => graph.constant("uint8", [], [value]);
    if (node.op === "conv2d" && node.depthwise) {
      const taps = stored.length / node.filters;
      const centeredCodes = stored.map(
        (code, i) => code - (zeros[zeros.length === 1 ? 0 : Math.floor(i / taps)] ?? 0),
      );
      const kernel = graph.constant("float32", kernelShape, centeredCodes, id);
      if (taps * LARGEST_PRODUCT < EXACT_IN_FLOAT32) return depthwiseSums(node, input, kernel);
    }
    const multiply = (kernel: string, zero: number): string => {
      const inputs = [input.tensor, kernel, byte(input.zeroPoint), byte(zero)];
      return node.op === "dense"
        ? graph.add("MatMulInteger", inputs)
        : graph.add("ConvInteger", inputs, windowAttributes(node));
    };
    const sums = multiply(graph.constant("uint8", kernelShape, stored, id), common ?? 0);
    if (common !== undefined) return sums;
    // One zero point for each filter: what it adds is the sum of the inputs under the window.
    const ones = graph.constant("uint8", kernelShape, new Uint8Array(stored.length).fill(1));
    const constant = graph.constant(
      "int32",
      node.op === "dense" ? [zeros.length] : [zeros.length, 1, 1],
      zeros,
    );
    return graph.add("Sub", [sums, graph.add("Mul", [multiply(ones, 0), constant])]);
  }

  /** By a float convolution of whole numbers, which is exact here and ten times faster. */
  function depthwiseSums(node: ConvNode, input: Codes, kernel: string): string {
    const zeroPoint = graph.constant("uint8", [], [input.zeroPoint]);
    const x = graph.add("DequantizeLinear", [input.tensor, graph.scalar(1), zeroPoint]);
    const sums = graph.add("Conv", [x, kernel], windowAttributes(node));
    return graph.add("Cast", [sums], { to: dataTypeCode("int32") });
  }

  /** A node's value in real numbers. */
  function realOf(node: string): string {
    const value = valueOf(node);
    if (!isSum(value)) return value.real;
    const pixelAxes = (shapes.get(node)?.length ?? 1) - 1;
    const sum = value.terms
      .map(({ tensor, steps, divisor }) => {
        const wide = graph.add("Cast", [tensor], { to: dataTypeCode("float32") });
        const factors = steps.map((step) => Math.fround(step / divisor));
        const dimensions =
          factors.length === 1
            ? []
            : [factors.length, ...Array.from({ length: pixelAxes }, () => 1)];
        return graph.add("Mul", [wide, graph.constant("float32", dimensions, factors)]);
      })
      .reduce((a, b) => graph.add("Add", [a, b]));
    return value.rectified ? graph.add("Relu", [sum]) : sum;
  }
}

function windowAttributes(node: ConvNode) {
  const { size, stride, padding, dilation } = windowOf({ ...node, size: node.kernelSize });
  return {
    ...{ kernel_shape: size, strides: stride, pads: padding, dilations: dilation },
    group: node.depthwise ? node.filters : (node.groups ?? 1),
  };
}

function refuse(what: string, reason: string): never {
  throw new NoForm(`"${what}": ${reason}`);
}
