import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { Network, NetworkNode } from "../../algorithms/network.js";
import { inputsOf } from "../network/index.js";
import type { Kernels } from "../session.js";
import { processorFeatures } from "./processor.js";

interface Quantized {
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
}

/**
 * What onnxruntime moves quantizers past: where nothing quantizes the result of one of these again, a signed network that
 * is made unsigned has both types there, and does not load.
 */
const MOVES_VALUES: readonly NetworkNode["op"][] = [
  "maxPool",
  "permuteChannels",
  "concat",
  "float",
];

/** What onnxruntime makes one operator of with the convolution before it. */
const FUSED: readonly NetworkNode["op"][] = ["batchNorm", "relu", "relu6"];

/** Whether all that reads a result, past what is fused, is quantizers. */
const isRounded = (network: Network, name: string): boolean =>
  network.nodes
    .filter((node) => inputsOf(node).includes(name))
    .every(({ op, name: reader }) =>
      FUSED.includes(op) ? isRounded(network, reader) : op === "quantize",
    );

/**
 * Whether adding 128 changes no bit of a signed network: where convolutions are of floats, their sums have another
 * order then.
 */
const canBeUnsigned = (network: Network): boolean =>
  network.nodes.every(
    ({ op, name }) => !MOVES_VALUES.includes(op) && (op !== "conv2d" || isRounded(network, name)),
  );

/**
 * The precise kernels for a network on a processor.
 *
 * @param features those of the processor: without AVX2, kernels for unsigned operands saturate as well, whatever
 * onnxruntime is told; those for signed ones do not
 */
export function preciseKernels(
  { network, sites }: Quantized,
  features: readonly string[] = processorFeatures(),
): Kernels {
  const activations = sites.filter(({ role }) => role === "activation");
  if (activations.length === 0 || activations.length === sites.length) return "inFloat";
  const isSigned = ({ scheme }: QuantizerSite): boolean => scheme.signed;
  if (activations.every(isSigned))
    return features.includes("avx2") && canBeUnsigned(network)
      ? "preciseUnsigned"
      : "preciseSigned";
  if (!activations.some(isSigned)) return "preciseUnsigned";
  // Unsigned weights, which the other layers get, are multiplied with signed activations by no dense layer, and by
  // no convolution whose result is signed too; where the types differ, a convolution stays in float.
  const signed = new Set(activations.filter(isSigned).map(({ id }) => id));
  const madeSigned = new Set(
    network.nodes.flatMap((node) =>
      node.op === "quantize" && signed.has(node.name) ? [node.input] : [],
    ),
  );
  const hasNoKernel = network.nodes.some(
    (node) =>
      (node.op === "dense" && signed.has(node.input)) ||
      (node.op === "conv2d" && signed.has(node.input) && madeSigned.has(node.name)),
  );
  return hasNoKernel ? "preciseUnsigned" : "preciseMixed";
}
