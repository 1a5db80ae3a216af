import type { InferenceSession } from "./onnxruntime.js";
import type { QuantizerSite } from "../algorithms/algorithm.js";
import type { Network } from "../algorithms/network.js";

interface Ends {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

/** What an exported model calls its images and its logits: its one input and its first output. */
export const endsOf = ({ inputNames: [image = ""], outputNames: [logits = ""] }: Ends) => ({
  image,
  logits,
});

/** One thread a session: cells run side by side, one per core, and sums keep their order. */
export const SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
};

/**
 * How onnxruntime multiplies 8-bit integers: with the kernels that everybody gets, which on x86
 * without VNNI add pairs of products in 16 bits and saturate, or with those that compute the same
 * sums on every processor. For signed activations these are the kernels for signed ones (as shipped,
 * such activations are made unsigned, which fails where a pool reads what nothing quantizes again);
 * for unsigned activations, weights are made unsigned too; or both. Where weights or activations stay in
 * float, products are of floats: onnxruntime would quantize the other operand by itself.
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
 */
export type Kernels = "shipped" | "preciseSigned" | "preciseUnsigned" | "preciseMixed" | "inFloat";

const SESSION_ENTRIES: Readonly<Record<Kernels, Readonly<Record<string, string>>>> = {
  shipped: {},
  preciseSigned: { qdqisint8allowed: "1" },
  preciseUnsigned: { x64quantprecision: "1" },
  inFloat: { disable_quant_qdq: "1" },
  preciseMixed: { x64quantprecision: "1", qdqisint8allowed: "1" },
};

export const sessionOptions = (kernels: Kernels): InferenceSession.SessionOptions => ({
  ...SESSION_OPTIONS,
  extra: { session: SESSION_ENTRIES[kernels] },
});

interface Quantized {
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
}

/** The precise kernels for a network. */
export function preciseKernels({ network, sites }: Quantized): Kernels {
  const activations = sites.filter(({ role }) => role === "activation");
  if (activations.length === 0 || activations.length === sites.length) return "inFloat";
  const isSigned = ({ scheme }: QuantizerSite): boolean => scheme.signed;
  if (activations.every(isSigned)) return "preciseSigned";
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
