import type { Network } from "../../algorithms/network.js";

export interface ModelOptions {
  /** [height, width, channels] of an image. */
  readonly inputShape: readonly number[];
  readonly classes: number;
  /** Channels of the first stage; the others follow from it. */
  readonly width: number;
}

/** A network architecture, as the literature defines it. */
export interface Model {
  /** Equal to the name of its file, unless a file has a family of them. */
  readonly name: string;
  readonly title: string;
  /** Raised whenever a change here changes results, so that older ones are not reused. */
  readonly version: number;
  /** The width of the publication. */
  readonly defaultWidth: number;
  readonly source: { readonly title: string; readonly url: string };
  build(options: ModelOptions): Network;
}
