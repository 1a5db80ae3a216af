import { describe, expect, test } from "vitest";
import { randomStream } from "../../../pipelines/engine/index.js";
import { importTflite } from "../../../pipelines/import/index.js";
import { expectSame, values } from "./beside.js";
import {
  tfliteByHand,
  type HandLite,
  type HandOperator,
  type LiteConstant,
  type LiteOptions,
} from "./tfliteByHand.js";

const random = randomStream(9, "damage");
const [SAME, VALID] = [0, 1];
const floats = (shape: readonly number[], low?: number, high?: number): LiteConstant => ({
  ...{ shape, type: "float32" },
  values: values(
    shape.reduce((a, b) => a * b, 1),
    low,
    high,
  ),
});
const list = (...numbers: number[]): LiteConstant => ({
  ...{ shape: [numbers.length], type: "int32", values: numbers },
});
const one = (number: number): LiteConstant => ({ shape: [], type: "int32", values: [number] });

const op = (
  code: number,
  inputs: readonly string[],
  outputs: HandOperator["outputs"],
  options?: LiteOptions,
): HandOperator => ({ code, inputs, outputs, ...(options && { options }) });

/** Padding, strides down and across, activation, dilation down and across. */
const conv = ({
  pad = SAME,
  down = 1,
  across = 1,
  act = 0,
  rows = 1,
  columns = 1,
} = {}): LiteOptions => ({
  table: 1,
  fields: [
    [0, "byte", pad],
    ...([
      [1, "int", across],
      [2, "int", down],
      [3, "byte", act],
    ] as const),
    ...([
      [4, "int", columns],
      [5, "int", rows],
    ] as const),
  ],
});
const depthwise = ({
  pad = SAME,
  stride = 1,
  times = 1,
  act = 0,
  dilation = 1,
} = {}): LiteOptions => ({
  table: 2,
  fields: [
    [0, "byte", pad],
    ...([
      [1, "int", stride],
      [2, "int", stride],
      [3, "int", times],
      [4, "byte", act],
    ] as const),
    ...([
      [5, "int", dilation],
      [6, "int", dilation],
    ] as const),
  ],
});
const pool = ({ pad = SAME, stride = 2, rows = 2, columns = 2, act = 0 } = {}): LiteOptions => ({
  table: 5,
  fields: [
    ...([
      [0, "byte", pad],
      [1, "int", stride],
      [2, "int", stride],
    ] as const),
    ...([
      [3, "int", columns],
      [4, "int", rows],
      [5, "byte", act],
    ] as const),
  ],
});
const activation = (table: number, act = 0): LiteOptions => ({ table, fields: [[0, "byte", act]] });
const dense = (act = 0, keeps = 0): LiteOptions => ({
  table: 8,
  fields: [
    [0, "byte", act],
    [2, "byte", keeps],
  ],
});
const concat = (axis: number, act = 0): LiteOptions => ({
  table: 10,
  fields: [
    [0, "int", axis],
    [1, "byte", act],
  ],
});
const keeping = (keeps: number): LiteOptions => ({ table: 27, fields: [[0, "byte", keeps]] });

/** Numbers of operators. */
const OP = {
  ...{ ADD: 0, AVERAGE_POOL_2D: 1, CONCATENATION: 2, CONV_2D: 3, DEPTHWISE_CONV_2D: 4 },
  ...{ DEPTH_TO_SPACE: 5, DEQUANTIZE: 6, FULLY_CONNECTED: 9, LOGISTIC: 14, LSTM: 16 },
  ...{ MAX_POOL_2D: 17, MUL: 18, RELU: 19, RELU_N1_TO_1: 20, RELU6: 21, RESHAPE: 22 },
  ...{ RESIZE_BILINEAR: 23, SOFTMAX: 25, SPACE_TO_DEPTH: 26, TANH: 28, CUSTOM: 32, PAD: 34 },
  ...{ GATHER: 36, TRANSPOSE: 39, MEAN: 40, SUB: 41, DIV: 42, SQUEEZE: 43, STRIDED_SLICE: 45 },
  ...{
    SPLIT: 49,
    LOG_SOFTMAX: 50,
    PRELU: 54,
    MAXIMUM: 55,
    MINIMUM: 57,
    PADV2: 60,
    SLICE: 65,
    SIN: 66,
  },
  ...{ TRANSPOSE_CONV: 67, EXPAND_DIMS: 70, SUM: 74, RSQRT: 76, SHAPE: 77, REDUCE_MAX: 82 },
  ...{ PACK: 83, SQUARE: 92, RESIZE_NEAREST_NEIGHBOR: 97, LEAKY_RELU: 98, SQUARED_DIFFERENCE: 99 },
  ...{ SPLIT_V: 102, ELU: 111, HARD_SWISH: 117, BATCH_MATMUL: 126, GELU: 150 },
} as const;

const STEM = op(OP.CONV_2D, ["x", "stem.w", "stem.b"], { stem: [1, 6, 6, 8] }, conv({ act: 1 }));
const TAIL = [
  op(OP.MEAN, ["features", "extent"], { pooled: [1, 8] }, keeping(0)),
  op(OP.FULLY_CONNECTED, ["pooled", "fc.w", "fc.b"], { y: [1, 5] }, dense()),
];
/** A network whose middle turns "stem", 8 channels of 6 x 6, into "features", 8 channels. */
const around = (
  middle: readonly HandOperator[],
  constants: HandLite["constants"] = {},
): HandLite => ({
  input: [1, 6, 6, 3],
  operators: [STEM, ...middle, ...TAIL],
  constants: {
    ...{ "stem.w": floats([8, 3, 3, 3]), "stem.b": floats([8]), extent: list(1, 2) },
    ...{ "fc.w": floats([5, 8]), "fc.b": floats([5]), ...constants },
  },
});
const FULL = [1, 6, 6, 8];
const unary = (code: number, options?: LiteOptions, shape: readonly number[] = FULL) =>
  around([op(code, ["stem"], { features: shape }, options)]);
const binary = (code: number, constant: LiteConstant, options?: LiteOptions) =>
  around([op(code, ["stem", "c"], { features: FULL }, options)], { c: constant });

const CASES: Readonly<Record<string, () => HandLite>> = {
  "a convolution of stride 2, which SAME pads behind, with a fused ReLU6": () =>
    around(
      [
        op(
          OP.CONV_2D,
          ["stem", "w", "b"],
          { features: [1, 3, 3, 8] },
          conv({ down: 2, across: 2, act: 3 }),
        ),
      ],
      { w: floats([8, 3, 3, 8]), b: floats([8]) },
    ),
  "oblong and dilated convolutions": () =>
    around(
      [
        op(OP.CONV_2D, ["stem", "w", "b"], { c: [1, 6, 3, 8] }, conv({ across: 2, act: 1 })),
        op(OP.CONV_2D, ["c", "w", "b"], { features: [1, 6, 3, 8] }, conv({ rows: 2, act: 1 })),
      ],
      { w: floats([8, 3, 2, 8]), b: floats([8]) },
    ),
  "a convolution without padding, and one of groups": () =>
    around(
      [
        op(OP.CONV_2D, ["stem", "w", "b"], { small: [1, 4, 5, 8] }, conv({ pad: VALID, act: 2 })),
        op(OP.CONV_2D, ["small", "g", "b"], { features: [1, 4, 5, 8] }, conv({ act: 3 })),
      ],
      { w: floats([8, 3, 2, 8]), b: floats([8]), g: floats([8, 3, 3, 4]) },
    ),
  "depthwise convolutions, strided, dilated and with several filters a channel": () =>
    around(
      [
        op(
          OP.DEPTHWISE_CONV_2D,
          ["stem", "a", "b"],
          { first: FULL },
          depthwise({ dilation: 2, act: 3 }),
        ),
        op(
          OP.DEPTHWISE_CONV_2D,
          ["first", "d", "c"],
          { second: [1, 3, 3, 16] },
          depthwise({ stride: 2, times: 2 }),
        ),
        op(OP.CONV_2D, ["second", "p", "b"], { features: [1, 3, 3, 8] }, conv()),
      ],
      {
        ...{ a: floats([1, 3, 3, 8]), b: floats([8]), d: floats([1, 3, 3, 16]), c: floats([16]) },
        p: floats([8, 1, 1, 16]),
      },
    ),
  "a depthwise convolution of one channel, and of stride 2 without padding": () => ({
    input: [1, 6, 6, 1],
    operators: [
      op(OP.DEPTHWISE_CONV_2D, ["x", "a", "b"], { stem: FULL }, depthwise({ times: 8, act: 1 })),
      op(
        OP.DEPTHWISE_CONV_2D,
        ["stem", "d", "b"],
        { features: [1, 2, 2, 8] },
        depthwise({ stride: 2, pad: VALID, act: 1 }),
      ),
      ...TAIL,
    ],
    constants: {
      ...{ a: floats([1, 3, 3, 8]), b: floats([8]), d: floats([1, 3, 3, 8]), extent: list(1, 2) },
      ...{ "fc.w": floats([5, 8]), "fc.b": floats([5]) },
    },
  }),
  "pools of any window, with borders that count for nothing": () =>
    around([
      op(OP.AVERAGE_POOL_2D, ["stem"], { a: FULL }, pool({ rows: 3, columns: 2, stride: 1 })),
      op(OP.MAX_POOL_2D, ["a"], { features: [1, 3, 3, 8] }, pool({ rows: 3, columns: 3, act: 1 })),
    ]),
  "a pool as large as the image, flattened": () => ({
    ...around([]),
    operators: [
      STEM,
      op(
        OP.AVERAGE_POOL_2D,
        ["stem"],
        { p: [1, 1, 1, 8] },
        pool({ rows: 6, columns: 6, pad: VALID }),
      ),
      op(
        OP.RESHAPE,
        ["p", "shape"],
        { flat: [1, 8] },
        { table: 17, fields: [[0, "ints", [-1, 8]]] },
      ),
      op(OP.FULLY_CONNECTED, ["flat", "fc.w", "fc.b"], { y: [1, 5] }, dense()),
    ],
    constants: { ...around([]).constants, shape: list(-1, 8) },
  }),
  "dense layers behind an image, whose order is channels last, and a softmax": () => ({
    input: [1, 6, 6, 3],
    operators: [
      STEM,
      op(OP.FULLY_CONNECTED, ["stem", "w", ""], { hidden: [1, 12] }, dense(1)),
      op(OP.FULLY_CONNECTED, ["hidden", "v", "b"], { logits: [1, 5] }, dense()),
      op(OP.SOFTMAX, ["logits"], { y: [1, 5] }, { table: 9, fields: [[0, "float", 1]] }),
    ],
    constants: {
      ...{ "stem.w": floats([8, 3, 3, 3]), "stem.b": floats([8]), w: floats([12, 288], -0.1, 0.1) },
      ...{ v: floats([5, 12]), b: floats([5]) },
    },
  }),
  "a shape that the graph computes, of a batch that is open": () => ({
    ...around([]),
    signature: [-1, 6, 6, 3],
    operators: [
      STEM,
      ...[
        op(OP.SHAPE, ["stem"], { shape: [4] }, { table: 55, fields: [[0, "byte", 2]] }),
        op(
          OP.STRIDED_SLICE,
          ["shape", "zero", "first", "first"],
          { batch: [] },
          { table: 32, fields: [[4, "int", 1]] },
        ),
        op(OP.PACK, ["batch", "rest"], { wanted: [2] }, { table: 59, fields: [[0, "int", 2]] }),
      ].map((operator) => ({ ...operator, whole: true })),
      op(OP.RESHAPE, ["stem", "wanted"], { flat: [1, 288] }),
      op(OP.FULLY_CONNECTED, ["flat", "w", "fc.b"], { y: [1, 5] }, dense()),
    ],
    constants: {
      ...{ ...around([]).constants, zero: list(0), first: list(1), rest: one(288) },
      w: floats([5, 288], -0.1, 0.1),
    },
  }),
  "sums with an activation, a channel's constants and what is computed": () =>
    around(
      [
        op(OP.MUL, ["stem", "factor"], { scaled: FULL }, activation(21, 0)),
        op(OP.SUB, ["number", "scaled"], { turned: FULL }, activation(28, 3)),
        op(OP.ADD, ["turned", "stem"], { sum: FULL }, activation(11, 1)),
        op(OP.DIV, ["sum", "two"], { half: FULL }, activation(29, 0)),
        op(OP.MAXIMUM, ["low", "half"], { above: FULL }),
        op(OP.MINIMUM, ["above", "high"], { features: FULL }),
      ],
      {
        ...{ factor: floats([8]), number: floats([]), two: floats([1, 1, 1, 8], 1, 2) },
        ...{ low: { ...floats([]), values: [-0.1] }, high: { ...floats([]), values: [0.4] } },
      },
    ),
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

describe.each(Object.entries(CASES))("%s", (name, make) => {
  test("evaluates as on LiteRT, imported, exported again, and quantized as simulated", async () => {
    const model = make();
    const [, height = 1, width = 1, channels = 1] = model.input;
    const imageShape = model.input.length === 4 ? [height, width, channels] : [6, 6, 3];
    const output = (model.outputs ?? []).length > 1 ? { options: { output: "y" } } : {};
    await expectSame(tfliteByHand(model), { imageShape, ...output });
  });
});

const read = (bytes: Uint8Array, output?: string) =>
  importTflite(bytes, { imageShape: [6, 6, 3], ...(output !== undefined && { output }) });
const plain = () => unary(OP.RELU);

test("layers keep their weights as they lie in the file", () => {
  const model = plain();
  const { network, parameters, input } = read(tfliteByHand(model));
  expect(network.nodes.map(({ op: kind }) => kind)).toEqual([
    ...["input", "conv2d", "relu", "relu", "globalAveragePool", "dense"],
  ]);
  expect(input).toMatchObject({ layout: "NHWC", shape: [6, 6, 3], batch: 1 });
  const [layer = ""] = network.nodes.flatMap(({ op: kind, name }) =>
    kind === "conv2d" ? name : [],
  );
  const given = model.constants["stem.w"]?.values ?? [];
  const kernel = parameters[`${layer}/kernel`];
  expect(kernel?.shape).toEqual([3, 3, 3, 8]);
  // From [filters, rows, columns, channels] to [rows, columns, channels, filters].
  const at = ([filter = 0, row = 0, column = 0, channel = 0]: readonly number[]) => [
    ...[kernel?.data[((row * 3 + column) * 3 + channel) * 8 + filter]],
    Math.fround(given[((filter * 3 + row) * 3 + column) * 3 + channel] ?? NaN),
  ];
  for (const place of [
    [0, 0, 0, 0],
    [7, 2, 1, 0],
    [3, 0, 2, 1],
    [5, 1, 0, 2],
  ]) {
    const [found, expected] = at(place);
    expect(found).toBe(expected);
  }
});

describe("what is not a network", () => {
  test("truncated files", () => {
    const bytes = tfliteByHand(plain());
    expect(bytes.length).toBeGreaterThan(1000);
    for (let length = 0; length < bytes.length; length += 13)
      expect(() => read(bytes.subarray(0, length))).toThrow(/truncated/);
    expect(() => read(new TextEncoder().encode("<html>not found</html>"))).toThrow(
      /no TensorFlow Lite file.*"TFL3"/,
    );
  });

  test("random changes end in an error or a network within a second, never in a crash", () => {
    const bytes = tfliteByHand(CASES["channels split, joined and with new ones"]?.() ?? plain());
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      const changed = bytes.slice();
      for (let count = 1 + random.integer(4); count > 0; count--) {
        const at = random.integer(changed.length);
        changed[at] =
          random.integer(2) === 0
            ? random.integer(256)
            : ([0, 255, 127, 128][random.integer(4)] ?? 0);
      }
      const start = performance.now();
      try {
        read(changed);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message).not.toBe("");
        expect((error as Error).message).not.toMatch(/undefined|is not a function|Cannot read/);
      }
      expect(performance.now() - start).toBeLessThan(1000);
    }
    expect(refused).toBeGreaterThan(100);
  });

  test.each<[string, () => HandLite, RegExp]>([
    [
      "an unknown operator",
      () => unary(OP.LSTM),
      /LSTM "features" is not supported\. .*--output.*CONV_2D/,
    ],
    [
      "an operator of somebody's own",
      () => around([{ ...op(OP.CUSTOM, ["stem"], { features: FULL }), custom: "MyPool" }]),
      /CUSTOM MyPool "features" is not supported/,
    ],
    [
      "weights of integers",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv())], {
          w: { shape: [8, 1, 1, 8], type: "int8", values: values(64, -100, 100), step: 0.02 },
        }),
      /is quantized already: "w" has int8 values in steps of 0\.0200; give the float network/,
    ],
    [
      "an image of bytes",
      () => ({ ...plain(), inputType: 3 }),
      /the input "x" takes uint8; float32/,
    ],
    [
      "several outputs",
      () => ({ ...plain(), outputs: ["features", "y"] }),
      /has 2: features, y\. Choose the class scores with --output/,
    ],
    [
      "a cycle",
      () =>
        around([
          op(OP.ADD, ["stem", "later"], { features: FULL }, activation(11)),
          op(OP.RELU, ["features"], { later: FULL }),
        ]),
      /before it is computed: the graph has a cycle/,
    ],
    [
      "fewer values than the shape says",
      () =>
        around([op(OP.ADD, ["stem", "few"], { features: FULL }, activation(11))], {
          few: { ...floats([4]), shape: [8] },
        }),
      /constant "few" of shape \[8\] holds 4 values instead of 8/,
    ],
    [
      "weights for other channels",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv())], {
          w: floats([8, 1, 1, 5]),
        }),
      /\(CONV_2D\)": has weights for 5 channels and reads 8|weights for 5 channels and reads 8/,
    ],
    [
      "a result that no memory holds",
      () =>
        around([op(OP.RESIZE_BILINEAR, ["stem", "size"], { features: FULL })], {
          size: list(2 ** 30, 2 ** 30),
        }),
      /gives \[1073741824,1073741824,8\] for one image/,
    ],
    [
      "a computed order of axes",
      () =>
        around([
          op(OP.SHAPE, ["stem"], { order: [4] }),
          op(OP.TRANSPOSE, ["stem", "order"], { features: FULL }),
        ]),
      /TRANSPOSE "features" needs constant integers as input 1 \("order"\)/,
    ],
    [
      "an activation that LiteRT leaves out",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv({ act: 4 }))], {
          w: floats([8, 1, 1, 8]),
        }),
      /CONV_2D "features" ends with the activation tanh/,
    ],
  ])("%s", (_, make, message) => {
    expect(() => read(tfliteByHand(make()))).toThrow(message);
  });

  test("an output that is not there", () => {
    expect(() => read(tfliteByHand(plain()), "ghost")).toThrow(/no output "ghost"; it has y/);
  });

  test("many tensors that share one name or one buffer", () => {
    // A vector of 100,000 places that are all the same tensor, whose name is long.
    const bytes = tfliteByHand({ ...plain(), repeated: 100_000, long: 50_000 });
    expect(() => read(bytes)).toThrow(/its parts refer to the same bytes over and over/);
  });
});
