// Operators of TensorFlow Lite with their options, and a network around one of them.
import { values } from "./beside.js";
import type { HandLite, HandOperator, LiteConstant, LiteOptions } from "./tfliteByHand.js";

export const [SAME, VALID] = [0, 1];
export const floats = (shape: readonly number[], low?: number, high?: number): LiteConstant => ({
  ...{ shape, type: "float32" },
  values: values(
    shape.reduce((a, b) => a * b, 1),
    low,
    high,
  ),
});
export const list = (...numbers: number[]): LiteConstant => ({
  ...{ shape: [numbers.length], type: "int32", values: numbers },
});
export const one = (number: number): LiteConstant => ({
  shape: [],
  type: "int32",
  values: [number],
});

export const op = (
  code: number,
  inputs: readonly string[],
  outputs: HandOperator["outputs"],
  options?: LiteOptions,
): HandOperator => ({ code, inputs, outputs, ...(options && { options }) });

/** Padding, strides down and across, activation, dilation down and across. */
export const conv = ({
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
export const depthwise = ({
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
export const pool = ({
  pad = SAME,
  stride = 2,
  rows = 2,
  columns = 2,
  act = 0,
} = {}): LiteOptions => ({
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
export const activation = (table: number, act = 0): LiteOptions => ({
  table,
  fields: [[0, "byte", act]],
});
export const dense = (act = 0, keeps = 0): LiteOptions => ({
  table: 8,
  fields: [
    [0, "byte", act],
    [2, "byte", keeps],
  ],
});
export const concat = (axis: number, act = 0): LiteOptions => ({
  table: 10,
  fields: [
    [0, "int", axis],
    [1, "byte", act],
  ],
});
export const keeping = (keeps: number): LiteOptions => ({
  table: 27,
  fields: [[0, "byte", keeps]],
});

/** Numbers of operators. */
export const OP = {
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

export const STEM = op(
  OP.CONV_2D,
  ["x", "stem.w", "stem.b"],
  { stem: [1, 6, 6, 8] },
  conv({ act: 1 }),
);
export const TAIL = [
  op(OP.MEAN, ["features", "extent"], { pooled: [1, 8] }, keeping(0)),
  op(OP.FULLY_CONNECTED, ["pooled", "fc.w", "fc.b"], { y: [1, 5] }, dense()),
];
/** A network whose middle turns "stem", 8 channels of 6 x 6, into "features", 8 channels. */
export const around = (
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
export const FULL = [1, 6, 6, 8];
export const unary = (code: number, options?: LiteOptions, shape: readonly number[] = FULL) =>
  around([op(code, ["stem"], { features: shape }, options)]);
export const binary = (code: number, constant: LiteConstant, options?: LiteOptions) =>
  around([op(code, ["stem", "c"], { features: FULL }, options)], { c: constant });
