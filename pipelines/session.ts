import type { InferenceSession } from "./onnxruntime.js";

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
 * sums on every processor. These are kernels for unsigned activations and unsigned weights, which both are made
 * by adding 128; for signed activations also those for signed operands, which are half as fast but needed where
 * adding fails; or both. Where weights or activations stay in float, products are of floats: onnxruntime would
 * quantize the other operand by itself.
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
