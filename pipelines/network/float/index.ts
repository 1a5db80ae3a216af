import type { FloatKind, FloatOperation } from "../../../algorithms/network.js";
import type { Definition, DefinitionOf } from "./definition.js";
import { adder } from "./adder.js";
import * as arrays from "./arrays.js";
import * as constants from "./constants.js";
import * as elementwise from "./elementwise.js";
import * as moving from "./moving.js";
import { embedding } from "./embedding.js";
import { averagePool, convTranspose, resize } from "./windows.js";

/** Everything that a network may compute in float besides what backends quantize. */
const definitions: { readonly [K in FloatKind]: DefinitionOf<K> } = {
  ...arrays,
  ...constants,
  ...elementwise,
  ...moving,
  adder,
  averagePool,
  convTranspose,
  embedding,
  resize,
};

/** What an operation is; takes any operation of its own kind. */
export const definitionOf = ({ kind }: FloatOperation): Definition<FloatOperation> =>
  definitions[kind] as Definition<never> as Definition<FloatOperation>;
