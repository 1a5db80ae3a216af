// What exporters make of networks that people have, pattern by pattern.
import { AttributeProto_AttributeType as AttributeType, TensorProto_DataType } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { floatToHalf, halfToFloat } from "../../../pipelines/import/index.js";
import { around, node, read } from "./aroundStem.js";
import { expectSame, values } from "./beside.js";
import { floats, halves, integers, modelByHand, type HandModel } from "./modelByHand.js";

/** As far as it goes; exporters write the largest int64. */
const END = 2 ** 62;
const everySecond = [
  integers("starts", [2], [0, 0]),
  integers("ends", [2], [END, END]),
  integers("axes", [2], [2, 3]),
  integers("steps", [2], [2, 2]),
];
const bits = (values: readonly number[]) => values.map(floatToHalf);
const HALF = TensorProto_DataType.FLOAT16;

const CASES: Readonly<Record<string, () => HandModel>> = {
  "a shortcut by slices and padding": () =>
    around(
      17,
      [
        node("Relu", ["stem"], "r"),
        node("Conv", ["r", "w"], "c", { strides: [2, 2], pads: [1, 1, 1, 1] }),
        node("Slice", ["r", "starts", "ends", "axes", "steps"], "s"),
        node("Pad", ["s", "pads", "zero"], "p"),
        node("Add", ["c", "p"], "features"),
      ],
      [
        ...everySecond,
        floats("w", [16, 8, 3, 3], values(1152)),
        integers("pads", [8], [0, 4, 0, 0, 0, 4, 0, 0]),
        floats("zero", [], [0]),
      ],
      16,
    ),
  "a shortcut by slices of one axis each, and zeros of a computed shape behind": () =>
    around(
      11,
      [
        node("Conv", ["stem", "w"], "c", { strides: [2, 2] }),
        node("Slice", ["stem", "zeros", "end", "two", "two"], "a"),
        node("Slice", ["a", "zeros", "end", "three", "two"], "s"),
        node("Shape", ["s"], "shape"),
        node("ConstantOfShape", ["shape"], "empty"),
        node("Concat", ["s", "empty"], "p", { axis: 1 }),
        node("Add", ["c", "p"], "features"),
      ],
      [
        floats("w", [16, 8, 1, 1], values(128)),
        ...[
          ["zeros", 0],
          ["end", 1000],
          ["two", 2],
          ["three", 3],
        ].map(([name, value]) => integers(String(name), [1], [Number(value)])),
      ],
      16,
    ),
  "a shortcut by pooling and padding, its axes named": () =>
    around(
      18,
      [
        node("Conv", ["stem", "w"], "c", { strides: [2, 2] }),
        node("AveragePool", ["stem"], "s", { kernel_shape: [1, 1], strides: [2, 2] }),
        node("Pad", ["s", "pads", "", "one"], "p"),
        node("Add", ["c", "p"], "features"),
      ],
      [
        floats("w", [12, 8, 1, 1], values(96)),
        integers("pads", [2], [1, 3]),
        integers("one", [1], [1]),
      ],
      12,
    ),
  "slices with an offset, every third pixel and every second channel": () =>
    around(
      13,
      [node("Slice", ["stem", "starts", "ends", "axes", "steps"], "features")],
      [
        integers("starts", [3], [1, 1, -6]),
        integers("ends", [3], [8, 6, END]),
        integers("axes", [3], [1, 2, 3]),
        integers("steps", [3], [2, 3, 2]),
      ],
      4,
    ),
  "channels in another order, some twice": () =>
    around(
      13,
      [node("Gather", ["stem", "order"], "features", { axis: 1 })],
      [integers("order", [5], [7, -8, 0, 3, 3])],
      5,
    ),
  "integer division and remainder in a shape": () =>
    around(
      14,
      [
        node("Shape", ["stem"], "shape"),
        node("Gather", ["shape", "one"], "channels"),
        node("Div", ["channels", "three"], "group"), // 2, not 2.67
        node("Mod", ["minusSeven", "group"], "rest"), // 1: the divisor's sign
        node("Add", ["group", "rest"], "count"), // 3
        node("Unsqueeze", ["count", "zeros"], "ends"),
        node("Slice", ["stem", "zeros", "ends", "ones"], "features"),
      ],
      [
        ...[
          ["one", 1],
          ["three", 3],
          ["minusSeven", -7],
        ].map(([name, value]) => integers(String(name), [], [Number(value)])),
        integers("zeros", [1], [0]),
        integers("ones", [1], [1]),
      ],
      3,
    ),
  "nodes out of order": () => {
    const model = around(13, [node("Relu", ["stem"], "r"), node("Tanh", ["r"], "features")]);
    return { ...model, nodes: model.nodes.toReversed() };
  },
  "opset 7": () => ({
    ...around(7, [
      node("BatchNormalization", ["stem", "g", "b", "m", "v"], "n"),
      node("Upsample", ["n"], "features", { mode: "nearest", scales: { floats: [1, 1, 2, 2] } }),
    ]),
    constants: [
      ...around(7, []).constants,
      ...["g", "b", "m", "v"].map((name) => floats(name, [8], values(8, 0.5, 1.5))),
    ],
  }),
  "opset 8": () => around(8, [node("MaxPool", ["stem"], "features", { kernel_shape: [2, 2] })]),
  "opset 22": () => around(22, [node("HardSwish", ["stem"], "features")]),
  "aliases between what is merged, where the convolution is read elsewhere": () =>
    around(
      13,
      [
        node("Identity", ["stem"], "alias"),
        node("Dropout", ["alias"], "second"),
        node("Slice", ["second", "zero", "many", "one"], "third"),
        node("BatchNormalization", ["third", "g", "b", "m", "v"], "n"),
        node("Add", ["n", "stem"], "features"),
      ],
      [
        ...["g", "b", "m", "v"].map((name) => floats(name, [8], values(8, 0.5, 1.5))),
        integers("zero", [1], [0]),
        integers("one", [1], [1]),
        integers("many", [1], [8]),
      ],
    ),
  "padding, bias and ReLU6 behind aliases that are read twice": () =>
    around(
      13,
      [
        node("Pad", ["stem", "pads"], "padded"),
        node("Identity", ["padded"], "alias"),
        node("Conv", ["alias", "w"], "c"),
        node("Identity", ["c"], "c2"),
        node("Add", ["c2", "shift"], "shifted"),
        node("Relu", ["c2"], "r"),
        node("Identity", ["r"], "r2"),
        node("Clip", ["r2", "zero", "six"], "r6"),
        node("Mul", ["r6", "padded"], "product"),
        node("Mul", ["product", "r"], "other"),
        node("Add", ["shifted", "other"], "features"),
      ],
      [
        integers("pads", [8], [0, 0, 1, 1, 0, 0, 1, 1]),
        floats("w", [8, 8, 1, 1], values(64, -3, 3)),
        floats("shift", [8, 1, 1], values(8)),
        floats("zero", [], [0]),
        floats("six", [], [0.5]),
      ],
    ),
  "LogSoftmax at the end": () => {
    const model = around(13, [node("Relu", ["stem"], "features")]);
    const nodes = model.nodes.map((one) =>
      one.op === "Gemm" ? { ...one, outputs: ["scores"] } : one,
    );
    return { ...model, nodes: [...nodes, node("LogSoftmax", ["scores"], "y", { axis: -1 })] };
  },
  "a batch that the file fixes": () => ({
    ...around(13, [node("Relu", ["stem"], "features")]),
    input: [3, 3, 6, 6],
  }),
  "layouts changed by reshapes": () => ({
    opset: 13,
    input: ["batch", 6, 6, 1],
    nodes: [
      node("Reshape", ["x", "first"], "image"),
      node("Conv", ["image", "w"], "c", { pads: [1, 1, 1, 1] }),
      node("Relu", ["c"], "r"),
      node("Reshape", ["r", "last"], "moved"),
      node("Flatten", ["moved"], "flat"),
      node("MatMul", ["flat", "d"], "y"),
    ],
    constants: [
      integers("first", [4], [-1, 1, 6, 6]),
      integers("last", [4], [-1, 6, 6, 1]),
      floats("w", [1, 1, 3, 3], values(9)),
      floats("d", [36, 5], values(180)),
    ],
  }),
  "layouts changed by transposes that no convolution follows": () =>
    around(
      13,
      [
        node("Transpose", ["stem"], "t", { perm: [0, 2, 3, 1] }),
        node("Reshape", ["t", "rows"], "r"), // [batch, 36, 8]
        node("Transpose", ["r"], "turned", { perm: [0, 2, 1] }),
        node("Reshape", ["turned", "image"], "i"),
        node("Transpose", ["i"], "swapped", { perm: [0, 1, 3, 2] }),
        node("Conv", ["swapped", "w"], "features"),
      ],
      [
        integers("rows", [3], [0, -1, 8]),
        integers("image", [4], [0, 8, 4, 9]),
        floats("w", [8, 8, 3, 1], values(192)),
      ],
    ),
  "space to depth by reshapes of six axes": () =>
    around(
      13,
      [
        node("Reshape", ["stem", "split"], "a"),
        node("Transpose", ["a"], "b", { perm: [0, 3, 5, 1, 2, 4] }),
        node("Reshape", ["b", "joined"], "features"),
      ],
      [integers("split", [6], [-1, 8, 3, 2, 3, 2]), integers("joined", [4], [-1, 32, 3, 3])],
      32,
    ),
  "functions of the model, in each other": () => ({
    ...around(18, [
      { ...node("Block", ["stem"], "features", { slope: { float: 0.3 } }), domain: "own" },
    ]),
    functions: [
      {
        name: "Gate",
        inputs: ["v"],
        outputs: ["out"],
        nodes: [node("Sigmoid", ["v"], "inner"), node("Mul", ["inner", "v"], "out")],
      },
      {
        name: "Block",
        inputs: ["v"],
        outputs: ["result"],
        nodes: [
          { ...node("Gate", ["v"], "inner"), domain: "own" },
          node("LeakyRelu", ["inner"], "result", {
            alpha: { from: "slope", type: AttributeType.FLOAT },
          }),
        ],
      },
    ],
  }),
  "weights of 16 bits, converted in the graph": () =>
    around(
      13,
      [
        node("Cast", ["half"], "w", { to: TensorProto_DataType.FLOAT }),
        node("Cast", ["brain"], "shift", { to: TensorProto_DataType.FLOAT }),
        node("Conv", ["stem", "w"], "c"),
        node("Add", ["c", "shift"], "features"),
      ],
      [
        halves("half", [8, 8, 1, 1], bits(values(64)), HALF),
        // 1, -2, 0.5 and 3 in bfloat16
        halves(
          "brain",
          [4, 1, 1].map((size) => size * (size === 4 ? 2 : 1)),
          [0x3f80, 0xc000, 0x3f00, 0x4040, 0x3f80, 0xc000, 0x3f00, 0x4040],
          TensorProto_DataType.BFLOAT16,
        ),
      ],
    ),
  "an average pool as large as the image": () =>
    around(13, [node("AveragePool", ["stem"], "features", { kernel_shape: [6, 6] })]),
};

describe.each(Object.entries(CASES))("%s", (_, make) => {
  test("evaluates as the original, and quantized as simulated", async () => {
    const model = make();
    const gray = model.input.at(-1) === 1;
    await expectSame(modelByHand(model), { imageShape: [6, 6, gray ? 1 : 3] });
  });
});

test("slices, their steps and padded channels become one convolution that selects", () => {
  const make = CASES["a shortcut by slices and padding"];
  const { network, parameters } = read(make?.() ?? around(13, []));
  const shortcut = network.nodes.find(({ name }) => name === "p");
  expect(shortcut).toMatchObject({ op: "conv2d", input: "r", stride: 2, filters: 16 });
  // [inputs, filters]: channel i of 8 becomes channel i + 4 of 16.
  const expected = Array.from({ length: 128 }, (_, i) =>
    Number((i % 16) - 4 === Math.floor(i / 16)),
  );
  expect(Array.from(parameters["p/kernel"]?.data ?? [])).toEqual(expected);
});

test("an average pool as large as the image is quantized as the backend's global pool", () => {
  const make = CASES["an average pool as large as the image"];
  expect(read(make?.() ?? around(13, [])).network.nodes.map(({ op }) => op)).toContain(
    "globalAveragePool",
  );
});

test("16-bit floats inside are computed with as float32, which is said", async () => {
  const half = (name: string, dims: readonly number[], count: number) =>
    halves(name, dims, bits(values(count)), HALF);
  const model = {
    ...{ opset: 13, input: ["n", 3, 6, 6], inputType: HALF, outputType: HALF },
    nodes: around(13, [node("Relu", ["stem"], "features")]).nodes,
    constants: [
      half("stem.w", [8, 3, 3, 3], 216),
      half("stem.b", [8], 8),
      half("fc.w", [5, 8], 40),
      half("fc.b", [5], 5),
    ],
  };
  const imported = await expectSame(modelByHand(model), { tolerance: 0.01 });
  expect(imported.notes).toEqual(["4 float16 constants are computed with as float32"]);
  expect(imported.halfPrecision).toBe(true);
});

test("16-bit floats round as IEEE 754 says", () => {
  const cases = [
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00], // a tie with what would be 65536
    [2 ** -24, 1],
    [2 ** -25, 0], // a tie, to even
    [1 + 2 ** -11, 0x3c00], // a tie, to even
    [1 + 3 * 2 ** -11, 0x3c02],
    [0.1, 0x2e66],
    [Infinity, 0x7c00],
  ] as const;
  for (const [value, expected] of cases) expect(floatToHalf(value)).toBe(expected);
  for (let i = 0; i < 0x7c00; i++) expect(floatToHalf(halfToFloat(i))).toBe(i);
});

test("one of several outputs is chosen, and what only others need may be unknown", () => {
  const model = around(13, [
    node("Relu", ["stem"], "features"),
    node("TopK", ["features", "stem"], "other"),
  ]);
  const several = { ...model, outputs: ["other", "y"] };
  expect(() => read(several)).toThrow(/2: other, y\. Choose .*--output/);
  expect(() => read(several, "z")).toThrow(/no output "z"; it has other, y/);
  expect(read(several, "y").classes).toBe(5);
});

test.each([
  ["NaN", NaN],
  ["Infinity", Infinity],
])("%s in a weight is named", (_, value) => {
  const model = around(13, [node("Relu", ["stem"], "features")]);
  const constants = model.constants.map((constant) =>
    constant.name === "fc.b" ? floats("fc.b", [5], [1, 2, value, 4, 5]) : constant,
  );
  expect(() => read({ ...model, constants })).toThrow(
    new RegExp(`"y/bias" has the value ${String(value)} at place 2`),
  );
});

test("a function that calls itself ends in an error", () => {
  const model = around(18, [{ ...node("Loop", ["stem"], "features"), domain: "own" }]);
  const nodes = [{ ...node("Loop", ["v"], "out"), domain: "own" }];
  expect(() =>
    read({ ...model, functions: [{ name: "Loop", inputs: ["v"], outputs: ["out"], nodes }] }),
  ).toThrow(/function "Loop" calls itself/);
});
