import type { Window } from "../../network/index.js";
import type { TfliteOptions } from "./schema.js";

/** None, ReLU, ReLU6: numbers of the schema. */
export type FusedActivation = 0 | 1 | 3;

/** Numbers of the options' tables in the schema. */
const TABLES = {
  ...{ convolution: 1, depthwise: 2, pool: 5, dense: 8, concat: 10, add: 11 },
  reduce: 27,
} as const;
/** Padding is an operator of its own here. */
const VALID = 1;

const byte = (slot: number, value: number) => [slot, "byte", value] as const;
const int = (slot: number, value: number) => [slot, "int", value] as const;

const windowFields = ({ stride: [down, across] }: Window) => [
  byte(0, VALID),
  int(1, across),
  int(2, down),
];

export function convolutionOptions(
  window: Window,
  depthwise: boolean,
  activation: FusedActivation,
): TfliteOptions {
  const [rows, columns] = window.dilation;
  return depthwise
    ? {
        table: TABLES.depthwise,
        // One filter for each channel.
        fields: [
          ...windowFields(window),
          int(3, 1),
          byte(4, activation),
          int(5, columns),
          int(6, rows),
        ],
      }
    : {
        table: TABLES.convolution,
        fields: [...windowFields(window), byte(3, activation), int(4, columns), int(5, rows)],
      };
}

export const poolOptions = (window: Window): TfliteOptions => ({
  table: TABLES.pool,
  fields: [...windowFields(window), int(3, window.size[1]), int(4, window.size[0])],
});

export const denseOptions = (activation: FusedActivation): TfliteOptions => ({
  table: TABLES.dense,
  fields: [byte(0, activation)],
});

export const addOptions = (activation: FusedActivation): TfliteOptions => ({
  table: TABLES.add,
  fields: [byte(0, activation)],
});

export const meanOptions = (keepsAxes: boolean): TfliteOptions => ({
  table: TABLES.reduce,
  fields: [byte(0, keepsAxes ? 1 : 0)],
});

/** Channels, the last of four axes. */
export const concatOptions: TfliteOptions = {
  table: TABLES.concat,
  fields: [int(0, 3), byte(1, 0)],
};
