import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { Network, NetworkNode } from "../../algorithms/network.js";
import { inputsOf } from "../network/index.js";
import type { Kernels } from "../session.js";

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
 * Whether adding 128 to a signed network changes no sum of products: where convolutions are of floats, these have
 * another order then. Residual sums do round a few values to another step (12 of 2.5 million of a network of 8 bits),
 * rather towards float's: 1 of these is not what float rounds to, 13 were before.
 */
const canBeUnsigned = (network: Network): boolean =>
  network.nodes.every(
    ({ op, name }) => !MOVES_VALUES.includes(op) && (op !== "conv2d" || isRounded(network, name)),
  );

/** The kernels that compute the same sums of a network on every processor. */
export function preciseKernels({ network, sites }: Quantized): Kernels {
  const activations = sites.filter(({ role }) => role === "activation");
  if (activations.length === 0 || activations.length === sites.length) return "inFloat";
  const isSigned = ({ scheme }: QuantizerSite): boolean => scheme.signed;
  if (activations.every(isSigned))
    return canBeUnsigned(network) ? "preciseUnsigned" : "preciseSigned";
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
