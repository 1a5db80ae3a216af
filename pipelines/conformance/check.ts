import type { Subject } from "./subject.js";

/** One property that every quantizer must have. */
export interface Check {
  readonly name: string;
  /** What is wrong, or nothing. */
  readonly run: (subject: Subject) => string | undefined;
}
