import type { IntegerArithmetic } from "../../backends/backend.js";

/** A network in the form of one runtime. */
export interface RuntimeModel {
  readonly bytes: Uint8Array;
  /** Operators of the file, where the runtime executes them as they are written. */
  readonly operators?: Readonly<Record<string, number>>;
  /** Images at a time, where the file fixes it. */
  readonly batch?: number;
}

export interface WriteOptions {
  readonly name: string;
  /** Images at a time, where the form fixes it. */
  readonly batch: number;
  /** The backend's, for what computes as it does. */
  readonly arithmetic?: IntegerArithmetic | undefined;
}

/** Thrown where a form cannot hold a network; the message says what and why. */
export class NoForm extends Error {
  override readonly name = "NoForm";
}
