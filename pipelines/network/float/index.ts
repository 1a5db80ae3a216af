import type { Definition } from "./definition.js";
import * as elementwise from "./elementwise.js";
import * as moving from "./moving.js";
import { averagePool, convTranspose, resize } from "./windows.js";

/** Everything that a network may compute in float besides what backends quantize. */
const definitions = { ...elementwise, ...moving, averagePool, convTranspose, resize };

type OptionsOf<D> = D extends Definition<infer O> ? O : never;
/** One operation and what it needs to know. */
export type FloatOperation = {
  [K in keyof typeof definitions]: { readonly kind: K } & OptionsOf<(typeof definitions)[K]>;
}[keyof typeof definitions];

/** What an operation is; takes any operation of its own kind. */
export const definitionOf = ({ kind }: FloatOperation): Definition<FloatOperation> =>
  definitions[kind] as Definition<never> as Definition<FloatOperation>;
