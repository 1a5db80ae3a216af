import type { IntegerArithmetic } from "../../backends/backend.js";
import type { FrozenNetwork } from "../freeze.js";

/** Images and logits of one batch, in plain memory. */
export interface LoadedModel {
  /**
   * @param images [batch, channels, height, width] or, where the runtime has it so, channels last
   * @returns [batch, classes]
   */
  infer(images: Float32Array, batch: number): Promise<Float32Array>;
}

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

/** A program that executes quantized networks, each in a process of its own. */
export interface Runtime {
  /** Equal to the name of its file. */
  readonly name: string;
  readonly title: string;
  /** Order of an image's axes. */
  readonly layout: "NCHW" | "NHWC";
  /**
   * The network in the runtime's own form.
   *
   * @throws NoForm where the form cannot hold the network
   */
  write(frozen: FrozenNetwork, options: WriteOptions): RuntimeModel;
  /** Loads a model; called in the runtime's own process alone. */
  load(model: Uint8Array, shape: readonly number[]): Promise<LoadedModel>;
}
