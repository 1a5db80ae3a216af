import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { rangeOf } from "../../../algorithms/affine.js";
import {
  accumulatorSteps,
  type FrozenNetwork,
  isClippedByCodes,
  isCodebook,
  keptRange,
} from "../../freeze/index.js";
import { transpose } from "../exportOnnx.js";
import { featureShapes, parameterSpecs, windowOf } from "../../network/index.js";
import type { ConvNode, DenseNode, NetworkNode } from "../../../algorithms/network.js";
import { OnnxGraph } from "../../onnx/index.js";
import { IMAGE_INPUT, LOGITS_OUTPUT } from "../../session.js";
import { STORAGE_RANGES, storageType, type StorageType } from "../onnx/storage.js";
import { NoForm } from "../form.js";

/** Integers in the graph and what they stand for. */
interface Codes {
  readonly tensor: string;
  readonly type: StorageType;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** The grid that an operator is to write. */
interface Target extends Omit<Codes, "tensor"> {
  /** Of the result; absent where a Clip follows. */
  readonly name?: string;
}

/** What a node gives: integers, real numbers, or an operator that waits for its output's grid. */
type Value =
  | { readonly codes: Codes }
  | { readonly real: string }
  | { readonly into: (target: Target) => string; readonly real: () => string };

/**
 * Writes a network in operators that compute integers from integers (QLinearConv, QGemm,
 * QLinearAdd, QLinearGlobalAveragePool): the form that needs no fusing by whoever reads it. Codes
 * of a quantizer have the name of its site; where their range is smaller than their type's, a
 * Clip keeps it.
 *
 * @throws NoForm naming what is not one of 8-bit integers
 */
export function exportQLinear(frozen: FrozenNetwork, name: string): Uint8Array {
  const { network } = frozen;
  const graph = new OnnxGraph();
  const shapes = featureShapes(network);
  const sites = new Map(frozen.sites.map((site) => [site.id, site]));
  const values = new Map<string, Value>();
  const rectified = new Set<string>();
  for (const node of network.nodes) values.set(node.name, write(node));
  const last = network.nodes.at(-1);
  if (last === undefined) throw new Error("the network has no nodes");
  const shape = shapes.get(last.name) ?? [];
  graph.output(LOGITS_OUTPUT, realOf(last.name), "float32", ["batch", ...shape]);
  for (const site of frozen.sites)
    graph.describe(`quantbench.site.${site.id}`, JSON.stringify(rangeOf(site)));
  return graph.toBytes(name);

  function valueOf(node: string): Value {
    const value = values.get(node);
    if (value === undefined) throw new Error(`"${node}" is read before it is computed`);
    return value;
  }

  function codesOf(node: string): Codes | undefined {
    const value = valueOf(node);
    return "codes" in value ? value.codes : undefined;
  }

  function realOf(node: string): string {
    const value = valueOf(node);
    if ("codes" in value) {
      const { tensor, scale, zeroPoint } = value.codes;
      return graph.add("DequantizeLinear", [tensor, scale, zeroPoint]);
    }
    const real = typeof value.real === "string" ? value.real : value.real();
    return rectified.has(node) ? graph.add("Relu", [real]) : real;
  }

  function write(node: NetworkNode): Value {
    switch (node.op) {
      case "input": {
        const [height = 1, width = 1, channels = 1] = node.shape;
        const dimensions = ["batch", channels, height, width];
        return { real: graph.input(IMAGE_INPUT, "float32", dimensions) };
      }
      case "quantize":
        return quantize(node.name, node.input);
      case "conv2d":
        return convolution(node);
      case "dense":
        return dense(node);
      case "relu":
      case "relu6": {
        const value = valueOf(node.input);
        if ("into" in value && (node.op === "relu" || isClippedByCodes(frozen, node.name))) {
          rectified.add(node.name);
          return value;
        }
        const bounds = [graph.scalar(0), graph.scalar(node.op === "relu" ? 3.4e38 : 6)];
        return { real: graph.add("Clip", [realOf(node.input), ...bounds]) };
      }
      case "add": {
        const [a, b] = node.inputs.map(codesOf);
        const real = () => graph.add("Add", node.inputs.map(realOf));
        if (a === undefined || b?.type !== a.type) return { real: real() };
        return waiting(a.type, real, ({ scale, zeroPoint, name: output }) => {
          const operands = [a, b].flatMap((codes) => [codes.tensor, codes.scale, codes.zeroPoint]);
          return graph.add("com.microsoft:QLinearAdd", [...operands, scale, zeroPoint], {}, output);
        });
      }
      case "globalAveragePool": {
        const x = codesOf(node.input);
        const flat = (pooled: string, output?: string) =>
          node.keepsAxes ? pooled : graph.add("Flatten", [pooled], {}, output);
        const real = () => flat(graph.add("GlobalAveragePool", [realOf(node.input)]));
        if (x === undefined) return { real: real() };
        return waiting(x.type, real, ({ scale, zeroPoint, name: output }) => {
          const inputs = [x.tensor, x.scale, x.zeroPoint, scale, zeroPoint];
          const operator = "com.microsoft:QLinearGlobalAveragePool";
          const pooled = graph.add(
            operator,
            inputs,
            { channels_last: 0 },
            node.keepsAxes ? output : undefined,
          );
          return flat(pooled, output);
        });
      }
      case "maxPool": {
        const codes = codesOf(node.input);
        const { size, stride, padding } = windowOf(node);
        const attributes = { kernel_shape: size, strides: stride, pads: padding };
        if (codes === undefined)
          return { real: graph.add("MaxPool", [realOf(node.input)], attributes) };
        return { codes: { ...codes, tensor: graph.add("MaxPool", [codes.tensor], attributes) } };
      }
      case "concat":
      case "permuteChannels":
      case "batchNorm":
      case "float":
        return refuse(node.name, `${node.op} has no QLinear operator`);
      default:
        return node satisfies never;
    }
  }

  /** An operator whose integers have its input's type; other types are reached by real numbers. */
  function waiting(type: StorageType, real: () => string, into: (target: Target) => string): Value {
    return {
      real,
      into: (target) =>
        target.type === type
          ? into(target)
          : graph.add("QuantizeLinear", [real(), target.scale, target.zeroPoint], {}, target.name),
    };
  }

  function quantize(id: string, input: string): Value {
    const site = siteOf(id);
    const grid = frozen.activations.get(id);
    if (grid === undefined || isCodebook(grid)) return refuse(id, "its steps are not equal");
    if (site.scheme.bitWidth > 8) return refuse(id, "it has more than 8 bits");
    if (site.scheme.rounding === "dpu") return refuse(id, "it rounds ties in its own way");
    const type = storageType(site);
    const zero = grid.zeroPoint[0] ?? 0;
    const kept = keptRange(frozen, site);
    const [typeMin, typeMax] = STORAGE_RANGES[type];
    const isFree = kept.quantMin === typeMin && kept.quantMax === typeMax;
    // A ReLU on integers: nothing below the zero point.
    const cutsOff = rectified.has(input) && zero > kept.quantMin;
    const target: Target = {
      type,
      scale: graph.scalar(grid.scale[0] ?? 1),
      zeroPoint: graph.constant(type, [], [zero]),
      ...(isFree && !cutsOff && { name: id }),
    };
    const value = valueOf(input);
    const { scale, zeroPoint } = target;
    const codes =
      "into" in value
        ? value.into(target)
        : graph.add("QuantizeLinear", [realOf(input), scale, zeroPoint], {}, target.name);
    const bound = (limit: number) => graph.constant(type, [], [limit]);
    const positive = cutsOff
      ? graph.add("Max", [codes, bound(zero)], {}, isFree ? id : undefined)
      : codes;
    const tensor = isFree
      ? positive
      : graph.add("Clip", [positive, bound(kept.quantMin), bound(kept.quantMax)], {}, id);
    return { codes: { tensor, type, scale, zeroPoint } };
  }

  function siteOf(id: string): QuantizerSite {
    return sites.get(id) ?? refuse(id, "it is no quantizer");
  }

  /** Inputs of a layer's operator: values, scale and zero point of the image and the weights. */
  function operands(node: ConvNode | DenseNode) {
    const id = `${node.name}/kernel`;
    const x = codesOf(node.input);
    const weight = frozen.weights.get(id);
    const steps = accumulatorSteps(frozen, node);
    if (x === undefined || weight === undefined || isCodebook(weight.on) || steps === undefined)
      return refuse(node.name, "its weights or inputs are not integers");
    const { on, codes } = weight;
    const specs = parameterSpecs(network).get(id)?.shape ?? [];
    const order = node.op === "dense" ? [0, 1] : node.depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1];
    const type = storageType(siteOf(id));
    const dimensions = order.map((axis) => specs[axis] ?? 1);
    const vector = on.scale.length === 1 ? [] : [on.scale.length];
    const weights = [
      graph.constant(type, dimensions, transpose(codes, specs, order), id),
      graph.constant("float32", vector, on.scale),
      graph.constant(type, vector, on.zeroPoint),
    ];
    const bias = frozen.biases.get(node.name);
    const whole = bias && Array.from(bias, (value, i) => Math.round(value / (steps[i] ?? 1)));
    if (whole?.some((code) => Math.abs(code) >= 2 ** 31))
      return refuse(node.name, "its bias does not fit 32 bits in steps of the accumulator");
    return {
      x,
      inputs: [x.tensor, x.scale, x.zeroPoint, ...weights],
      bias: whole && graph.constant("int32", [whole.length], whole),
    };
  }

  function convolution(node: ConvNode): Value {
    const { x, inputs, bias } = operands(node);
    const { size, stride, padding, dilation } = windowOf({ ...node, size: node.kernelSize });
    const attributes = {
      ...{ kernel_shape: size, strides: stride, pads: padding, dilations: dilation },
      group: node.depthwise ? node.filters : (node.groups ?? 1),
    };
    const real = (): string => refuse(node.name, "its sums are needed in real numbers");
    return waiting(x.type, real, ({ scale, zeroPoint, name: output }) =>
      graph.add(
        "QLinearConv",
        [...inputs, scale, zeroPoint, ...(bias === undefined ? [] : [bias])],
        attributes,
        output,
      ),
    );
  }

  function dense(node: DenseNode): Value {
    const { x, inputs, bias = "" } = operands(node);
    const gemm = (grid: readonly string[], output?: string) =>
      graph.add("com.microsoft:QGemm", [...inputs, bias, ...grid], { transB: 0 }, output);
    return waiting(
      x.type,
      () => gemm([]),
      ({ scale, zeroPoint, name: output }) => gemm([scale, zeroPoint], output),
    );
  }
}

function refuse(what: string, reason: string): never {
  throw new NoForm(`QLinear operators cannot hold "${what}": ${reason}`);
}
