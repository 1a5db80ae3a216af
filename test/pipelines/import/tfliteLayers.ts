// Networks whose layers, pools and sums are to be read.
import type { HandLite } from "./tfliteByHand.js";
import {
  VALID,
  floats,
  list,
  one,
  op,
  conv,
  depthwise,
  pool,
  activation,
  dense,
  OP,
  around,
  FULL,
  STEM,
  TAIL,
} from "./tfliteParts.js";

export const LAYERS: Readonly<Record<string, () => HandLite>> = {
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
};
