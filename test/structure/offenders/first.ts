// Breaks the rules on purpose: the test of the structure expects both faults to be found.
import type { Engine } from "../../../pipelines/engine/engine.js";
import type { Second } from "./second.js";

export interface First {
  readonly engine: Engine;
  readonly second?: Second;
}
