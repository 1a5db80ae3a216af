import { rangeOf } from "../../../algorithms/affine.js";
import type { NetworkNode } from "../../../algorithms/network.js";
import { type FrozenNetwork, isClippedByCodes } from "../../freeze/index.js";
import { walk, type Writer } from "../walk.js";
import { adder } from "./adder.js";
import { convolution, dense } from "./layers.js";
import {
  addOutputs,
  batchNormalization,
  exposeActivations,
  floatOperation,
  graphFor,
  imageInput,
  poolAttributes,
  type Shown,
} from "./model.js";
import { quantizer } from "./quantizer.js";
import { valueOf, type Writing } from "./writing.js";

export interface ExportOptions extends Partial<Pick<Writing, "packWeights" | "quantizers">> {
  /**
   * Every quantized activation is an output too: its integers, where it has any, since a runtime
   * fuses no layer with a value in real numbers that others want to see.
   */
  readonly exposeSites?: boolean;
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
  const graph = graphFor(frozen);
  const writing = walk(frozen, { graph, packWeights, quantizers, codes: new Map() }, writer);
  addOutputs(writing, (node) => valueOf(writing, node));
  if (exposeSites) exposeActivations(writing, (site) => shown(writing, site));
  for (const site of frozen.sites) {
    const about = { ...site.scheme, ...rangeOf(site) };
    graph.describe(`quantbench.site.${site.id}`, JSON.stringify(about));
  }
  return graph.toBytes(name);
}

/** Integers of a site, or its values where it has none. */
const shown = (writing: Writing, site: string): Shown =>
  writing.codes.get(site) ?? { tensor: valueOf(writing, site), type: "float32" };

const writer: Writer<Writing, string> = {
  input: imageInput,
  conv2d: convolution,
  dense,
  batchNorm: ({ name, input }, writing) =>
    batchNormalization(name, writing, valueOf(writing, input)),
  quantize: quantizer,
  relu: (node, writing) => writing.graph.add("Relu", [valueOf(writing, node.input)], {}, node.name),
  relu6(node, writing) {
    const { frozen, graph, quantizers } = writing;
    const x = valueOf(writing, node.input);
    if (quantizers === "integers" && isClippedByCodes(frozen, node.name)) return x;
    return graph.add("Clip", [x, graph.scalar(0), graph.scalar(6)], {}, node.name);
  },
  add: (node, writing) => writing.graph.add("Add", valuesOf(node, writing), {}, node.name),
  globalAveragePool: (node, writing) =>
    writing.graph.add("GlobalAveragePool", [valueOf(writing, node.input)], {}, node.name),
  maxPool(node, writing) {
    const inputs = [valueOf(writing, node.input)];
    return writing.graph.add("MaxPool", inputs, poolAttributes(node), node.name);
  },
  concat: (node, writing) =>
    writing.graph.add("Concat", valuesOf(node, writing), { axis: 1 }, node.name),
  permuteChannels(node, writing) {
    const inputs = [valueOf(writing, node.input), writing.graph.integers(node.order)];
    return writing.graph.add("Gather", inputs, { axis: 1 }, node.name);
  },
  float: (node, writing) =>
    adder(node, writing) ?? floatOperation(node, writing, valuesOf(node, writing)),
};

const valuesOf = (
  { inputs }: Extract<NetworkNode, { readonly inputs: unknown }>,
  writing: Writing,
): string[] => inputs.map((input) => valueOf(writing, input));
