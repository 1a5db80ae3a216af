// Networks that move, scale and select values between their layers.
import { values } from "./beside.js";
import type { HandLite, LiteConstant, LiteOptions } from "./tfliteByHand.js";
import {
  SAME,
  VALID,
  floats,
  list,
  one,
  op,
  conv,
  pool,
  activation,
  dense,
  concat,
  keeping,
  OP,
  around,
  FULL,
  unary,
  binary,
} from "./tfliteParts.js";

export const SHAPES: Readonly<Record<string, () => HandLite>> = {
  "values repeated along axes: squeeze and excitation": () =>
    around(
      [
        op(OP.MEAN, ["stem", "extent"], { mean: [1, 1, 1, 8] }, keeping(1)),
        op(OP.CONV_2D, ["mean", "w", "b"], { few: [1, 1, 1, 4] }, conv({ act: 1 })),
        op(OP.CONV_2D, ["few", "v", "c"], { many: [1, 1, 1, 8] }, conv()),
        op(OP.LOGISTIC, ["many"], { gate: [1, 1, 1, 8] }),
        op(OP.MUL, ["stem", "gate"], { features: FULL }, activation(21)),
      ],
      { w: floats([4, 1, 1, 8]), b: floats([4]), v: floats([8, 1, 1, 4]), c: floats([8]) },
    ),
  "borders of zeros and of a number, before a convolution and before a pool": () =>
    around(
      [
        op(OP.PAD, ["stem", "pads"], { wide: [1, 8, 7, 8] }),
        op(
          OP.CONV_2D,
          ["wide", "w", "b"],
          { c: [1, 3, 3, 8] },
          conv({ pad: VALID, down: 2, across: 2 }),
        ),
        op(OP.PADV2, ["c", "more", "value"], { p: [1, 4, 5, 8] }),
        op(OP.MAX_POOL_2D, ["p"], { features: [1, 3, 4, 8] }, pool({ stride: 1, pad: VALID })),
      ],
      {
        ...{ pads: { shape: [4, 2], type: "int32", values: [0, 0, 1, 1, 0, 1, 0, 0] } },
        ...{ more: { shape: [4, 2], type: "int32", values: [0, 0, 0, 1, 2, 0, 0, 0] } },
        ...{ w: floats([8, 3, 3, 8]), b: floats([8]), value: { ...floats([]), values: [0.3] } },
      },
    ),
  "channels split, joined and with new ones": () =>
    around(
      [
        op(
          OP.SPLIT,
          ["axis", "stem"],
          { a: [1, 6, 6, 4], b: [1, 6, 6, 4] },
          { table: 35, fields: [[0, "int", 2]] },
        ),
        op(OP.RELU, ["b"], { c: [1, 6, 6, 4] }),
        op(OP.CONCATENATION, ["c", "a"], { d: FULL }, concat(3)),
        op(
          OP.SPLIT_V,
          ["d", "sizes", "axis"],
          { e: [1, 6, 6, 2], f: [1, 6, 6, 6] },
          { table: 79, fields: [[0, "int", 2]] },
        ),
        op(OP.CONCATENATION, ["f", "e"], { features: FULL }, concat(-1)),
      ],
      { axis: one(3), sizes: list(2, 6) },
    ),
  "slices: parts, every second pixel, and one row": () =>
    around(
      [
        op(
          OP.STRIDED_SLICE,
          ["stem", "begin", "end", "steps"],
          { a: [1, 3, 2, 8] },
          {
            table: 32,
            fields: [
              [0, "int", 1],
              [1, "int", 1 | 8],
            ],
          },
        ),
        op(OP.SLICE, ["a", "from", "sizes"], { b: [1, 2, 2, 8] }),
        op(
          OP.STRIDED_SLICE,
          ["b", "row", "next", "ones"],
          { c: [1, 2, 8] },
          {
            table: 32,
            fields: [
              [0, "int", 1 | 4 | 8],
              [1, "int", 1 | 4 | 8],
              [4, "int", 2],
            ],
          },
        ),
        op(OP.EXPAND_DIMS, ["c", "place"], { features: [1, 1, 2, 8] }),
      ],
      {
        ...{ begin: list(0, 0, 1, 0), end: list(0, 6, 4, 0), steps: list(1, 2, 2, 1) },
        ...{ from: list(0, 1, 0, 0), sizes: list(-1, 2, -1, 8), place: one(1) },
        ...{ row: list(0, -1, 0, 0), next: list(0, 0, 0, 0), ones: list(1, 1, 1, 1) },
      },
    ),
  "axes turned, dropped and put in": () =>
    around(
      [
        op(OP.TRANSPOSE, ["stem", "order"], { turned: [1, 8, 6, 6] }),
        op(OP.RESHAPE, ["turned", "shape"], { rows: [1, 8, 36] }),
        op(OP.TRANSPOSE, ["rows", "back"], { pixels: [1, 36, 8] }),
        op(OP.FULLY_CONNECTED, ["pixels", "w", "b"], { each: [1, 36, 8] }, dense(1, 1)),
        op(OP.EXPAND_DIMS, ["each", "place"], { image: [1, 36, 1, 8] }),
        op(OP.SQUEEZE, ["image"], { again: [1, 36, 8] }, { table: 30, fields: [[0, "ints", [2]]] }),
        op(OP.RESHAPE, ["again", "whole"], { features: FULL }),
      ],
      {
        ...{ order: list(0, 3, 1, 2), shape: list(1, 8, -1), back: list(0, 2, 1), place: one(-2) },
        ...{ w: floats([8, 8]), b: floats([8]), whole: list(1, 6, 6, 8) },
      },
    ),
  "images of another size, by every rule": () => {
    const rule = (table: number, first: number, align: number, half: number): LiteOptions => ({
      ...{
        table,
        fields: [
          [first, "byte", align],
          [first + 1, "byte", half],
        ],
      },
    });
    const steps: readonly (readonly [code: number, to: number, options: LiteOptions])[] = [
      [OP.RESIZE_BILINEAR, 9, rule(15, 2, 0, 1)],
      [OP.RESIZE_BILINEAR, 7, rule(15, 2, 1, 0)],
      [OP.RESIZE_BILINEAR, 12, rule(15, 2, 0, 0)],
      [OP.RESIZE_NEAREST_NEIGHBOR, 9, rule(74, 0, 0, 1)],
      [OP.RESIZE_NEAREST_NEIGHBOR, 14, rule(74, 0, 0, 0)],
      [OP.RESIZE_NEAREST_NEIGHBOR, 10, rule(74, 0, 1, 0)],
    ];
    const name = (i: number) =>
      i === 0 ? "stem" : i === steps.length ? "features" : `r${String(i)}`;
    return around(
      steps.map(([code, to, options], i) =>
        op(code, [name(i), `size${String(i)}`], { [name(i + 1)]: [1, to, to, 8] }, options),
      ),
      Object.fromEntries(steps.map(([, to], i) => [`size${String(i)}`, list(to, to)])),
    );
  },
  "pixels moved to channels and back": () =>
    around([
      op(
        OP.SPACE_TO_DEPTH,
        ["stem"],
        { deep: [1, 3, 3, 32] },
        { table: 19, fields: [[0, "int", 2]] },
      ),
      op(OP.RELU, ["deep"], { r: [1, 3, 3, 32] }),
      op(OP.DEPTH_TO_SPACE, ["r"], { features: FULL }, { table: 94, fields: [[0, "int", 2]] }),
    ]),
  "transposed convolutions": () =>
    around(
      [
        op(
          OP.TRANSPOSE_CONV,
          ["size", "w", "stem"],
          { a: [1, 12, 12, 8] },
          {
            table: 49,
            fields: [
              [0, "byte", SAME],
              [1, "int", 2],
              [2, "int", 2],
            ],
          },
        ),
        op(
          OP.TRANSPOSE_CONV,
          ["larger", "w", "a"],
          { features: [1, 25, 25, 8] },
          {
            table: 49,
            fields: [
              [0, "byte", VALID],
              [1, "int", 2],
              [2, "int", 2],
            ],
          },
        ),
      ],
      { size: list(1, 12, 12, 8), larger: list(1, 25, 25, 8), w: floats([8, 3, 3, 8]) },
    ),
  "a transposed convolution to a size that the network computes, as Keras has it": () =>
    around(
      [
        ...[
          op(OP.SHAPE, ["stem"], { shape: [4] }, { table: 55, fields: [[0, "byte", 2]] }),
          op(OP.MUL, ["shape", "twice"], { size: [4] }, activation(21)),
        ].map((operator) => ({ ...operator, whole: true })),
        op(
          OP.TRANSPOSE_CONV,
          ["size", "w", "stem"],
          { features: [1, 12, 12, 8] },
          {
            table: 49,
            fields: [
              [0, "byte", SAME],
              [1, "int", 2],
              [2, "int", 2],
            ],
          },
        ),
      ],
      { twice: list(1, 2, 2, 1), w: floats([8, 3, 3, 8]) },
    ),
  "weights of 16 bits": () => {
    const half = (shape: readonly number[]): LiteConstant => ({
      ...{ shape, type: "float16" },
      // 1.mantissa times 2^-3, of both signs
      values: values(
        shape.reduce((a, b) => a * b, 1),
        0,
        2048,
      ).map((value) => (value > 1024 ? 0x8000 : 0) | (12 << 10) | (Math.floor(value) & 1023)),
    });
    return around(
      [
        op(OP.DEQUANTIZE, ["w16"], { w: [8, 3, 3, 8] }),
        op(OP.DEQUANTIZE, ["b16"], { b: [8] }),
        op(OP.CONV_2D, ["stem", "w", "b"], { features: FULL }, conv({ act: 1 })),
      ],
      { w16: half([8, 3, 3, 8]), b16: half([8]) },
    );
  },
  "a layer normalization as converters write it": () =>
    around(
      [
        op(OP.MEAN, ["stem", "last"], { mean: [1, 6, 6, 1] }, keeping(1)),
        op(OP.SQUARED_DIFFERENCE, ["stem", "mean"], { d: FULL }),
        op(OP.MEAN, ["d", "last"], { variance: [1, 6, 6, 1] }, keeping(1)),
        op(OP.ADD, ["variance", "epsilon"], { v: [1, 6, 6, 1] }, activation(11)),
        op(OP.RSQRT, ["v"], { r: [1, 6, 6, 1] }),
        op(OP.SUB, ["stem", "mean"], { c: FULL }, activation(28)),
        op(OP.MUL, ["c", "r"], { features: FULL }, activation(21)),
      ],
      { last: list(3), epsilon: { ...floats([]), values: [1e-3] } },
    ),
  "a network for features": () => ({
    input: [1, 108],
    operators: [
      op(OP.FULLY_CONNECTED, ["x", "w", "b"], { hidden: [1, 16] }, dense(1)),
      op(OP.FULLY_CONNECTED, ["hidden", "v", "c"], { y: [1, 5] }, dense()),
    ],
    constants: { w: floats([16, 108]), b: floats([16]), v: floats([5, 16]), c: floats([5]) },
  }),
  "several outputs, one of which is chosen by its tensor's name": () => ({
    ...around([op(OP.RELU, ["stem"], { features: FULL }), op(OP.SIN, ["stem"], { other: FULL })]),
    outputs: ["features", "y"],
  }),
  LeakyReLU: () => unary(OP.LEAKY_RELU, { table: 75, fields: [[0, "float", 0.2]] }),
  ELU: () => unary(OP.ELU),
  HardSwish: () => unary(OP.HARD_SWISH),
  Tanh: () => unary(OP.TANH),
  GELU: () => unary(OP.GELU, { table: 116, fields: [[0, "byte", 0]] }),
  Square: () => unary(OP.SQUARE),
  "ReLU from -1 to 1": () => unary(OP.RELU_N1_TO_1),
  ReLU6: () => unary(OP.RELU6),
  "a scaled softmax over channels": () =>
    unary(OP.SOFTMAX, { table: 9, fields: [[0, "float", 3]] }),
  "PReLU by channels": () => binary(OP.PRELU, floats([1, 1, 8])),
  "PReLU by pixels": () => binary(OP.PRELU, floats([6, 6, 8])),
};
