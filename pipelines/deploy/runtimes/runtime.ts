import type { RuntimeModel, WriteOptions } from "../../export/index.js";
import type { LoaderName } from "./loaders.js";
import type { FrozenNetwork } from "../../freeze/index.js";

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
