import type { Algorithm } from "../../algorithms/algorithm.js";
import type { BackendProfile } from "../../backends/backend.js";
import type { DatasetSource } from "../datasets/index.js";
import type { Model } from "../models/index.js";

/** What a module gives as its default export to add to the lists of quantbench. */
export interface Plugin {
  readonly algorithms?: readonly Algorithm[];
  readonly backends?: readonly BackendProfile[];
  readonly models?: readonly Model[];
  readonly datasets?: readonly DatasetSource[];
}
