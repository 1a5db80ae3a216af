import type { QuantScheme } from "../../backends/scheme.js";
import { definitionOf } from "./float/index.js";
import { consumersOf, inputsOf, isLayer } from "./graph.js";
import type { Network, NetworkNode } from "../../algorithms/network.js";

/** A tensor that stays in float, and why. */
export interface UnquantizedTensor {
  readonly tensor: string;
  readonly reason: string;
}

/**
 * Every tensor of a quantized network that no quantizer is on, with the reason.
 *
 * @param inFloat whether activations are meant to stay in float
 * @throws Error when they are not, and nothing at all is quantized
 */
export function unquantizedTensors(
  network: Network,
  { inFloat = false }: { readonly inFloat?: boolean } = {},
): readonly UnquantizedTensor[] {
  if (!inFloat && !network.nodes.some(({ op }) => op === "quantize")) {
    throw new Error("nothing is quantized: the network has no quantizer");
  }
  return network.nodes.flatMap((node) => {
    if (node.op === "quantize") return [];
    const readers = consumersOf(network, node.name);
    const others = readers.filter(({ op }) => op !== "quantize");
    if (readers.length > 0 && others.length === 0) return [];
    const reasons = new Set(others.map((reader) => reasonFor(node, reader)));
    if (readers.length === 0) reasons.add("the network's output");
    return [{ tensor: node.name, reason: [...reasons].join("; ") }];
  });
}

function reasonFor(node: NetworkNode, reader: NetworkNode): string {
  switch (reader.op) {
    case "batchNorm":
      return "batch norm reads the convolution's sum";
    case "relu":
    case "relu6":
      return isLayer(node)
        ? "the activation is part of the layer's output"
        : "the activation is computed before quantization";
    case "add":
      return isLayer(node) || node.op === "batchNorm"
        ? "added in the layer's accumulator, as the graph rule has it"
        : "the graph rule adds in float";
    case "globalAveragePool":
    case "maxPool":
      return "the graph rule pools in float";
    case "permuteChannels":
    case "concat":
      return "channels are only moved";
    case "float":
      return definitionOf(reader.operation).moves
        ? "its values are only moved"
        : `${reader.operation.kind} is computed in float`;
    case "conv2d":
    case "dense":
      return "its reader is not quantized";
    case "input":
    case "quantize":
      return inputsOf(reader).join();
    default:
      return reader satisfies never;
  }
}

/** A scheme in words: "int4 symmetric per tensor, power-of-two scale". */
export function describeSite(scheme: QuantScheme, levels: "uniform" | "codebook" | "logarithmic") {
  const { bitWidth, signed, symmetric, granularity, scaleForm, narrowRange, rounding } = scheme;
  return [
    `${signed ? "int" : "uint"}${String(bitWidth)}`,
    symmetric ? "symmetric" : "affine",
    granularity === "perChannel" ? "per channel" : "per tensor",
    ...(scaleForm === "powerOfTwo" ? ["power-of-two scale"] : []),
    ...(narrowRange ? ["narrow range"] : []),
    ...(rounding === "dpu" ? ["DPU rounding"] : []),
    ...(levels === "uniform" ? [] : [`${levels} levels`]),
  ].join(", ");
}
