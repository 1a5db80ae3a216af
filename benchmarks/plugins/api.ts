// What a plugin may import as "quantbench": types of what it adds, and what the algorithms here are built
// from. tf is the one that records steps; a plugin uses it instead of its own.
import { readFileSync } from "node:fs";
import * as tf from "#tf";
import type { Network } from "../../algorithms/network.js";
import { decodeSafetensors, type HostTensors } from "../../pipelines/engine/index.js";
import { forward, unquantized } from "../../pipelines/network/index.js";

export { tf };
export * from "../../algorithms/affine.js";
export * from "../../algorithms/algorithm.js";
export { fixedGrid } from "../../algorithms/fixedGrid.js";
export type * from "../../algorithms/laboratory.js";
export { backOff } from "../../algorithms/search/backOff.js";
export { randomPolicy } from "../../algorithms/search/random.js";
export { algorithms } from "../../algorithms/index.js";
export type * from "../../algorithms/network.js";
export * from "../../algorithms/observers/index.js";
export * from "../../backends/backend.js";
export { backends } from "../../backends/index.js";
export * from "../../backends/scheme.js";
export type { Dataset, ImageSet } from "../../pipelines/train/index.js";
export type { DatasetSource } from "../datasets/index.js";
export { models, NetworkBuilder, type Model } from "../models/index.js";
export type { Plugin } from "./plugin.js";

/**
 * Parameters of a network from a run's checkpoint (`stages/float-*.safetensors`) or any other file of
 * that format that names them so.
 */
export function readParameters(path: string): HostTensors {
  return decodeSafetensors(readFileSync(path)).tensors;
}

/**
 * What a float network gives for a batch: for losses with a teacher of one's own.
 *
 * @param images [batch, height, width, channels], as a loss gets them by `output("image")`
 * @returns [batch, classes]; no gradient reaches the parameters
 */
export function floatLogits(
  network: Network,
  parameters: HostTensors,
  images: tf.Tensor,
): tf.Tensor2D {
  const constants = Object.entries(parameters).map(
    ([name, { data, shape }]) => [name, tf.tensor(data, [...shape])] as const,
  );
  return forward(network, images, {
    parameters: Object.fromEntries(constants),
    training: false,
    quantize: unquantized,
  }).logits;
}
