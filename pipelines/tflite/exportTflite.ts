import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { accumulatorSteps, dequantized, keptRange } from "../encoding.js";
import { isCodebook, type FrozenGrid, type FrozenNetwork } from "../freeze.js";
import { NoForm } from "../runtimes/runtime.js";
import {
  consumersOf,
  featureShapes,
  findNode,
  parameterSpecs,
  type ConvNode,
  type DenseNode,
  type MaxPoolNode,
  type NetworkNode,
} from "../network/network.js";
import { windowOf, windowOutput, type Window } from "../network/window.js";
import { TfliteModel, type TfliteOptions } from "./tfliteModel.js";

export interface TfliteExport {
  readonly bytes: Uint8Array;
  readonly operators: Readonly<Record<string, number>>;
}

interface TfliteOptionsOfExport {
  /** Images at a time, which the format fixes. */
  readonly batch?: number;
  /** Weights of up to 4 bits are stored in 4: half the bytes, but slower kernels. */
  readonly packWeights?: boolean;
}

/** What follows an operator alone and becomes part of it. */
interface Fused {
  readonly activation: 0 | 1 | 3;
  /** The quantizer that reads the result; absent for the network's output. */
  readonly site?: QuantizerSite;
  /** Nodes that are written with the operator. */
  readonly nodes: readonly string[];
}

/** Numbers of the tables of options in the schema. */
const OPTIONS = { conv: 1, depthwise: 2, pool: 5, dense: 8, add: 11, reduce: 27 } as const;
const VALID = 1;

/**
 * Writes a frozen network for TensorFlow Lite: int8 activations, int8 weights with a scale for
 * each output channel, int32 biases, float images in and float logits
 * out. Ranges of less than 8 bits are kept by MINIMUM and MAXIMUM. A last layer whose result is
 * not quantized is computed in float, from the same integers.
 *
 * @throws NoForm naming the quantizer or node that cannot be written so
 * @see https://ai.google.dev/edge/litert/models/quantization_spec
 */
export function exportTflite(
  frozen: FrozenNetwork,
  name: string,
  { batch = 1, packWeights = false }: TfliteOptionsOfExport = {},
): TfliteExport {
  const { network } = frozen;
  const sites = new Map(frozen.sites.map((site) => [site.id, site]));
  for (const site of frozen.sites) checkSite(frozen, site);
  const shapes = featureShapes(network);
  const model = new TfliteModel();
  const tensors = new Map<string, number>(); // node -> tensor
  const written = new Set<string>();
  let image: number | undefined;
  for (const node of network.nodes) if (!written.has(node.name)) write(node);
  const last = network.nodes.at(-1);
  if (last === undefined || image === undefined) throw new Error("the network has no nodes");
  const output = inFloat(tensorOf(last.name), "logits");
  const description = JSON.stringify(
    Object.fromEntries(
      frozen.sites.map((site) => [
        site.id,
        site.role === "weight" ? rangeOf(site) : keptRange(frozen, site),
      ]),
    ),
  );
  return {
    bytes: model.toBytes(image, output, { name, description }),
    operators: model.operatorCounts,
  };

  function write(node: NetworkNode): void {
    switch (node.op) {
      case "input":
        image = model.tensor({ name: "image", type: "float32", shape: shaped(node.name) });
        tensors.set(node.name, image);
        return;
      case "quantize":
        requantize(node.name, tensorOf(node.input), node.input);
        return;
      case "relu":
      case "relu6":
        finish(node, "", (result) => {
          model.add(node.op === "relu" ? "RELU" : "RELU6", [tensorOf(node.input)], result);
        });
        return;
      case "conv2d":
      case "dense":
        layer(node);
        return;
      case "add":
        finish(node, "fuses", (result, activation) => {
          const options = { table: OPTIONS.add, fields: [["byte", 0, activation]] };
          model.add("ADD", node.inputs.map(tensorOf), result, asOptions(options));
        });
        return;
      case "globalAveragePool": {
        const axes = model.tensor({
          ...{ name: `${node.name} axes`, type: "int32", shape: [2] },
          data: Int32Array.of(1, 2),
        });
        const options = { table: OPTIONS.reduce, fields: [["byte", 0, node.keepsAxes ? 1 : 0]] };
        finish(node, "", (result) => {
          model.add("MEAN", [tensorOf(node.input), axes], result, asOptions(options));
        });
        return;
      }
      case "maxPool":
        maxPool(node);
        return;
      default:
        refuse(node.name, `${node.op} has no form here yet`);
    }
  }

  function tensorOf(node: string): number {
    const found = tensors.get(node);
    return found ?? refuse(node, "its value is needed in float between integers");
  }

  function shaped(node: string): number[] {
    return [batch, ...(shapes.get(node) ?? [])];
  }

  /** Writes an operator with what follows it and its result's quantizer. */
  function finish(
    node: NetworkNode,
    activations: "fuses" | "",
    add: (result: number, activation: number) => void,
  ): void {
    const fused = followers(node, activations === "fuses");
    const { site, activation } = fused;
    if (site === undefined)
      return refuse(node.name, "its result is not quantized, which only a last dense layer may be");
    fused.nodes.forEach((one) => written.add(one));
    tensors.set(
      site.id,
      quantizedBy(site, (result) => {
        add(result, activation);
      }),
    );
  }

  /** The chain of one activation and one quantizer behind a node. */
  function followers(node: NetworkNode, fuses: boolean): Fused {
    const [reader, ...others] = consumersOf(network, node.name);
    if (reader === undefined) return { activation: 0, nodes: [] };
    if (others.length > 0) return refuse(node.name, "its result is read in several ways");
    if (reader.op === "quantize")
      return { activation: 0, site: siteOf(reader.name), nodes: [reader.name] };
    if (!fuses || (reader.op !== "relu" && reader.op !== "relu6"))
      return refuse(node.name, "its result is not quantized before it is read");
    const rest = followers(reader, false);
    return {
      ...rest,
      activation: reader.op === "relu" ? 1 : 3,
      nodes: [reader.name, ...rest.nodes],
    };
  }

  function siteOf(id: string): QuantizerSite {
    return sites.get(id) ?? refuse(id, "it is no quantizer");
  }

  /** Writes an operator whose result a site quantizes, and keeps it within the site's range. */
  function quantizedBy(site: QuantizerSite, add: (result: number) => void): number {
    const offset = storageOffset(site);
    const { quantMin, quantMax } = keptRange(frozen, site);
    const grid = signedGrid(frozen, site);
    const tensor = (tensorName: string) =>
      model.tensor({ name: tensorName, type: "int8", shape: shaped(site.id), grid });
    // Where integers of the type are left over, bounds cut them off.
    const bounds = (
      [
        ["MAXIMUM", quantMin - offset, -128],
        ["MINIMUM", quantMax - offset, 127],
      ] as const
    ).filter(([, bound, free]) => bound !== free);
    const first = tensor(bounds.length === 0 ? site.id : `${site.id} before bounds`);
    add(first);
    return bounds.reduce((current, [operator, bound], i) => {
      const limit = model.tensor({
        ...{ name: `${site.id} ${operator.toLowerCase()}`, type: "int8", shape: [1], grid },
        data: Int8Array.of(bound),
      });
      const result = tensor(i === bounds.length - 1 ? site.id : `${site.id} within one bound`);
      return model.add(operator, [current, limit], result);
    }, first);
  }

  function requantize(id: string, from: number, producer: string): void {
    const site = siteOf(id);
    if (findNode(network, producer).op !== "input" && model.at(from).type === "float32")
      refuse(id, "its value is needed in float between integers");
    tensors.set(
      id,
      quantizedBy(site, (result) => {
        model.add("QUANTIZE", [from], result);
      }),
    );
  }

  function inFloat(tensor: number, tensorName: string): number {
    const { type, shape } = model.at(tensor);
    if (type === "float32") return tensor;
    const result = model.tensor({ name: tensorName, type: "float32", shape });
    return model.add("DEQUANTIZE", [tensor], result);
  }

  function layer(node: ConvNode | DenseNode): void {
    if (node.op === "conv2d" && (node.groups ?? 1) > 1)
      refuse(node.name, "convolutions of groups have no form here yet");
    if (node.op === "dense" && consumersOf(network, node.name).length === 0) {
      floatDense(node);
      return;
    }
    const steps = accumulatorSteps(frozen, node);
    if (steps === undefined) return refuse(node.name, "its weights or inputs are not integers");
    const [weights, bias] = [kernel(node), biasOf(node, steps)];
    if (node.op === "dense") {
      finish(node, "fuses", (result, activation) => {
        const options = { table: OPTIONS.dense, fields: [["byte", 0, activation]] };
        const inputs = [tensorOf(node.input), weights, bias];
        model.add("FULLY_CONNECTED", inputs, result, asOptions(options));
      });
      return;
    }
    const window = windowOf({ ...node, size: node.kernelSize });
    const input = padded(node.input, window, node.name);
    finish(node, "fuses", (result, activation) => {
      const [down, across] = window.stride;
      const common: Field[] = [
        ["byte", 0, VALID],
        ["int", 1, across],
        ["int", 2, down],
      ];
      const [rows, columns] = window.dilation;
      const options = node.depthwise
        ? {
            table: OPTIONS.depthwise,
            fields: [
              ...common,
              ["int", 3, 1],
              ["byte", 4, activation],
              ["int", 5, columns],
              ["int", 6, rows],
            ] as Field[],
          }
        : {
            table: OPTIONS.conv,
            fields: [
              ...common,
              ["byte", 3, activation],
              ["int", 4, columns],
              ["int", 5, rows],
            ] as Field[],
          };
      const operator = node.depthwise ? "DEPTHWISE_CONV_2D" : "CONV_2D";
      model.add(operator, [input, weights, bias], result, asOptions(options));
    });
  }

  /** The image with a border of zeros, as convolutions here have it on all sides. */
  function padded(input: string, { padding }: Window, layerName: string, border?: number): number {
    const tensor = tensorOf(input);
    const [top, left, bottom, right] = padding;
    if (top + left + bottom + right === 0) return tensor;
    const { shape, grid } = model.at(tensor);
    const [size = 1, height = 1, width = 1, channels = 1] = shape;
    const pads = model.tensor({
      ...{ name: `${layerName} pads`, type: "int32", shape: [4, 2] },
      data: Int32Array.of(0, 0, top, bottom, left, right, 0, 0),
    });
    const result = model.tensor({
      ...{ name: `${layerName} padded`, type: "int8" },
      shape: [size, height + top + bottom, width + left + right, channels],
      ...(grid && { grid }),
    });
    if (border === undefined) return model.add("PAD", [tensor, pads], result);
    const value = model.tensor({
      ...{ name: `${layerName} border`, type: "int8", shape: [1] },
      ...{ data: Int8Array.of(border), ...(grid && { grid }) },
    });
    return model.add("PADV2", [tensor, pads, value], result);
  }

  /** Gives integers of its input's grid; a quantizer behind it rescales. */
  function maxPool(node: MaxPoolNode): void {
    const window = windowOf(node);
    const input = padded(node.input, window, node.name, -128);
    const { shape, grid } = model.at(input);
    const [, height = 1, width = 1, channels = 1] = shape;
    const extent = windowOutput([height, width], { ...window, padding: [0, 0, 0, 0] });
    const result = model.tensor({
      ...{ name: node.name, type: "int8", shape: [batch, ...extent, channels] },
      ...(grid && { grid }),
    });
    const fields: Field[] = [
      ["byte", 0, VALID],
      ["int", 1, window.stride[1]],
      ["int", 2, window.stride[0]],
      ["int", 3, window.size[1]],
      ["int", 4, window.size[0]],
    ];
    const options = asOptions({ table: OPTIONS.pool, fields });
    tensors.set(node.name, model.add("MAX_POOL_2D", [input], result, options));
  }

  function floatDense(node: DenseNode): void {
    const [inputs = 1, units = 1] = parameterSpecs(network).get(`${node.name}/kernel`)?.shape ?? [];
    const values = dequantized(frozen, `${node.name}/kernel`);
    const data = Float32Array.from(
      values,
      (_, i) => values[(i % inputs) * units + Math.floor(i / inputs)] ?? 0,
    );
    const bias = frozen.biases.get(node.name) ?? new Float32Array(units);
    const weights = model.tensor({
      ...{ name: `${node.name}/kernel`, type: "float32", shape: [units, inputs], data },
    });
    const biases = model.tensor({
      ...{ name: `${node.name} bias`, type: "float32", shape: [units], data: bias },
    });
    const result = model.tensor({ name: "logits", type: "float32", shape: [batch, units] });
    const options = asOptions({ table: OPTIONS.dense, fields: [["byte", 0, 0]] });
    const input = inFloat(tensorOf(node.input), `${node.name} input`);
    tensors.set(node.name, model.add("FULLY_CONNECTED", [input, weights, biases], result, options));
  }

  /** [filters, rows, columns, channels]; depthwise [1, rows, columns, channels]; dense [units, inputs]. */
  function kernel(node: ConvNode | DenseNode): number {
    const id = `${node.name}/kernel`;
    const shape = parameterSpecs(network).get(id)?.shape ?? [];
    const weight = frozen.weights.get(id);
    if (weight === undefined || isCodebook(weight.on))
      return refuse(id, "its weights are not on a grid of equal steps");
    const depthwise = node.op === "conv2d" && node.depthwise;
    const outputs = depthwise ? 1 : (shape.at(-1) ?? 1);
    const inner = weight.codes.length / outputs;
    const codes = depthwise
      ? Int8Array.from(weight.codes)
      : Int8Array.from(
          weight.codes,
          (_, i) => weight.codes[(i % inner) * outputs + Math.floor(i / inner)] ?? 0,
        );
    const channels = depthwise ? node.filters : outputs;
    const { scale } = weight.on;
    const tensorShape = depthwise ? [1, ...shape.slice(0, 3)] : [outputs, ...shape.slice(0, -1)];
    return model.tensor({
      ...{ name: id, shape: tensorShape, data: codes },
      type: packWeights && siteOf(id).scheme.bitWidth <= 4 ? "int4" : "int8",
      grid: {
        scale: Float32Array.from(
          { length: channels },
          (_, i) => scale[scale.length > 1 ? i : 0] ?? 1,
        ),
        zeroPoint: new Int32Array(channels),
        axis: depthwise ? 3 : 0,
      },
    });
  }

  function biasOf(node: ConvNode | DenseNode, steps: Float32Array): number {
    const bias = frozen.biases.get(node.name) ?? new Float32Array(steps.length);
    const codes = Array.from(bias, (value, i) => Math.round(value / (steps[i] ?? 1)));
    if (codes.some((code) => Math.abs(code) >= 2 ** 31))
      refuse(node.name, "its bias does not fit 32 bits in steps of the accumulator");
    return model.tensor({
      ...{ name: `${node.name} bias`, type: "int32", shape: [codes.length] },
      data: Int32Array.from(codes),
      grid: { scale: steps, zeroPoint: new Int32Array(steps.length) },
    });
  }
}

type Field = readonly [type: "byte" | "int", slot: number, value: number];

const asOptions = ({
  table,
  fields,
}: {
  readonly table: number;
  readonly fields: readonly (readonly (string | number)[])[];
}): TfliteOptions => ({
  table,
  fields: (fields as readonly Field[]).map(([type, slot, value]) => [slot, type, value]),
});

function refuse(what: string, reason: string): never {
  throw new NoForm(`TensorFlow Lite cannot hold "${what}": ${reason}`);
}

/** What unsigned integers lose to become int8. */
const storageOffset = ({ scheme }: QuantizerSite): number => (scheme.signed ? 0 : 128);

function signedGrid(frozen: FrozenNetwork, site: QuantizerSite): FrozenGrid {
  const levels = frozen.activations.get(site.id);
  if (levels === undefined || isCodebook(levels)) return refuse(site.id, "its steps are not equal");
  const offset = storageOffset(site);
  return { scale: levels.scale, zeroPoint: levels.zeroPoint.map((zero) => zero - offset) };
}

/** Why a quantizer cannot be written, if so. */
export function unsupportedSite(
  { role, scheme }: QuantizerSite,
  levels: FrozenGrid | { readonly levels: Float32Array },
): string | undefined {
  if ("levels" in levels) return "its steps are not equal";
  if (scheme.bitWidth > 8) return `${String(scheme.bitWidth)} bits are more than its 8`;
  if (scheme.rounding === "dpu") return "it rounds ties in its own way";
  if (role === "weight" && (!scheme.signed || levels.zeroPoint.some((zero) => zero !== 0)))
    return "its weights are symmetric";
  return undefined;
}

function checkSite(frozen: FrozenNetwork, site: QuantizerSite): void {
  const levels = frozen.activations.get(site.id) ?? frozen.weights.get(site.id)?.on;
  const reason = levels && unsupportedSite(site, levels);
  if (reason !== undefined) refuse(site.id, reason);
}
