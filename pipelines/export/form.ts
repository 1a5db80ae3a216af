import type { NetworkNode } from "../../algorithms/network.js";
import type { IntegerArithmetic } from "../../backends/backend.js";
import type { Kernels } from "../session.js";

/** A network in the form that a runtime loads. */
export interface RuntimeModel {
  readonly bytes: Uint8Array;
  /** Operators of the file, where the runtime executes them as they are written. */
  readonly operators?: Readonly<Record<string, number>>;
  /** Images at a time, where the file fixes it. */
  readonly batch?: number;
  /** Those that onnxruntime is to compute it with; as shipped if absent. */
  readonly kernels?: Kernels;
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

/** Says that a node or quantizer has no place in a form. */
export type Refuse = (what: string, reason: string) => never;

/** @param form what the message begins with */
export const refusal =
  (form: string): Refuse =>
  (what, reason) => {
    throw new NoForm(`${form}"${what}": ${reason}`);
  };

/** The operator of a node, as messages name it. */
export const operatorOf = (node: NetworkNode): string =>
  node.op === "float" ? node.operation.kind : node.op;
