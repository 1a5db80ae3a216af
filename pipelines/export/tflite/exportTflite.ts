import { rangeOf } from "../../../algorithms/affine.js";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { accumulatorSteps, type FrozenNetwork, keptRange } from "../../freeze/index.js";
import {
  consumersOf,
  featureShapes,
  findNode,
  parameterSpecs,
  type Window,
  windowOf,
  windowOutput,
} from "../../network/index.js";
import type { ConvNode, DenseNode, MaxPoolNode, NetworkNode } from "../../../algorithms/network.js";
import { addBias, addKernel, checkSite, refuse, signedGrid, storageOffset } from "./constants.js";
import {
  addOptions,
  convolutionOptions,
  denseOptions,
  meanOptions,
  poolOptions,
  type FusedActivation,
} from "./options.js";
import { TfliteModel } from "./tfliteModel.js";

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
  readonly activation: FusedActivation;
  /** The quantizer that reads the result; absent for the network's output. */
  readonly site?: QuantizerSite;
  /** Nodes that are written with the operator. */
  readonly nodes: readonly string[];
}

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
          model.add("ADD", node.inputs.map(tensorOf), result, addOptions(activation));
        });
        return;
      case "globalAveragePool": {
        const axes = model.tensor({
          ...{ name: `${node.name} axes`, type: "int32", shape: [2] },
          data: Int32Array.of(1, 2),
        });
        finish(node, "", (result) => {
          const options = meanOptions(node.keepsAxes === true);
          model.add("MEAN", [tensorOf(node.input), axes], result, options);
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
    add: (result: number, activation: FusedActivation) => void,
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
    const writing = { model, frozen };
    const [weights, bias] = [addKernel(writing, node, packWeights), addBias(writing, node, steps)];
    if (node.op === "dense") {
      finish(node, "fuses", (result, activation) => {
        const inputs = [tensorOf(node.input), weights, bias];
        model.add("FULLY_CONNECTED", inputs, result, denseOptions(activation));
      });
      return;
    }
    const window = windowOf({ ...node, size: node.kernelSize });
    const input = padded(node.input, window, node.name);
    finish(node, "fuses", (result, activation) => {
      const operator = node.depthwise ? "DEPTHWISE_CONV_2D" : "CONV_2D";
      const options = convolutionOptions(window, node.depthwise, activation);
      model.add(operator, [input, weights, bias], result, options);
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
    tensors.set(node.name, model.add("MAX_POOL_2D", [input], result, poolOptions(window)));
  }

  function floatDense(node: DenseNode): void {
    const [inputs = 1, units = 1] = parameterSpecs(network).get(`${node.name}/kernel`)?.shape ?? [];
    const bias = frozen.biases.get(node.name) ?? new Float32Array(units);
    // Integers in the file, real numbers when they are multiplied.
    const weights = model.add(
      "DEQUANTIZE",
      [addKernel({ model, frozen }, node, packWeights)],
      model.tensor({ name: `${node.name} weights`, type: "float32", shape: [units, inputs] }),
    );
    const biases = model.tensor({
      ...{ name: `${node.name} bias`, type: "float32", shape: [units], data: bias },
    });
    const result = model.tensor({ name: "logits", type: "float32", shape: [batch, units] });
    const input = inFloat(tensorOf(node.input), `${node.name} input`);
    tensors.set(
      node.name,
      model.add("FULLY_CONNECTED", [input, weights, biases], result, denseOptions(0)),
    );
  }
}
