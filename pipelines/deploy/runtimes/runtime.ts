import type { IntegerArithmetic } from "../../../backends/backend.js";
import type { LoaderName } from "./loaders.js";
import type { FrozenNetwork } from "../../freeze/freeze.js";

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
  /** Whether it takes a network whose channels were grouped by their widths. */
  readonly takesGroups: boolean;
  /** Order of an image's axes. */
  readonly layout: "NCHW" | "NHWC";
  /** What executes it, in its own process. */
  readonly loader: LoaderName;
  /**
   * The network in the runtime's own form.
   *
   * @throws NoForm where the form cannot hold the network
   */
  write(frozen: FrozenNetwork, options: WriteOptions): RuntimeModel;
}
