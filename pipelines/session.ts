import type { InferenceSession } from "onnxruntime-node";

/** What exported models call their input and output. */
export const IMAGE_INPUT = "image";
export const LOGITS_OUTPUT = "logits";

/** One thread a session: cells run side by side, one per core, and sums keep their order. */
export const SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
};
