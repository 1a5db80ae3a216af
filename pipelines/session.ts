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
