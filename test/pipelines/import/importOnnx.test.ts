import { describe, expect, test } from "vitest";
import { randomStream } from "../../../pipelines/engine/index.js";
import { importOnnx } from "../../../pipelines/import/importOnnx.js";
import { expectSame, noFiles, values } from "./beside.js";
import {
  external,
  floats,
  integers,
  modelByHand,
  type HandModel,
  type HandNode,
} from "./modelByHand.js";

const random = randomStream(8, "damage");
const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: HandNode["attributes"] = {},
): HandNode => ({ op, inputs, outputs: [output], attributes });

/** From an image of 8 channels and 6 x 6 pixels to 5 scores. */
const TAIL = [
  node("GlobalAveragePool", ["features"], "pooled"),
  node("Flatten", ["pooled"], "flat"),
  node("Gemm", ["flat", "fc.w", "fc.b"], "y", { transB: 1 }),
];
const tailConstants = () => [floats("fc.w", [5, 8], values(40)), floats("fc.b", [5], values(5))];
const STEM = node("Conv", ["x", "stem.w", "stem.b"], "stem", {
  kernel_shape: [3, 3],
  pads: [1, 1, 1, 1],
});
const stemConstants = () => [
  floats("stem.w", [8, 3, 3, 3], values(216)),
  floats("stem.b", [8], values(8)),
];
/** A network whose middle turns "stem", 8 channels of 6 x 6, into "features", 8 channels. */
const around = (
  opset: number,
  middle: readonly HandNode[],
  constants: HandModel["constants"] = [],
): HandModel => ({
  opset,
  input: ["batch", 3, 6, 6],
  nodes: [STEM, ...middle, ...TAIL],
  constants: [...stemConstants(), ...constants, ...tailConstants()],
});
const unary = (opset: number, op: string, attributes: HandNode["attributes"] = {}) =>
  around(opset, [node(op, ["stem"], "features", attributes)]);
const scalar = (name: string, value: number) => floats(name, [], [value]);
const batchNorm = (name: string) =>
  ["scale", "beta", "mean", "variance"].map((part, i) =>
    floats(`${name}.${part}`, [8], values(8, i === 3 ? 0.5 : -0.5, i === 3 ? 2 : 0.5)),
  );
const BATCH_NORM_INPUTS = ["bn.scale", "bn.beta", "bn.mean", "bn.variance"];

const CASES: Readonly<Record<string, () => HandModel>> = {
  "opset 9: clip by attributes": () => unary(9, "Clip", { min: { float: 0 }, max: { float: 6 } }),
  "opset 11: clip by inputs": () =>
    around(
      11,
      [node("Clip", ["stem", "low", "high"], "features")],
      [scalar("low", -0.1), scalar("high", 0.2)],
    ),
  "opset 13: clip with one bound": () =>
    around(13, [node("Clip", ["stem", "", "high"], "features")], [scalar("high", 0.2)]),
  "opset 9: batch norm behind a bias, with another epsilon": () =>
    around(
      9,
      [
        node("BatchNormalization", ["stem", ...BATCH_NORM_INPUTS], "normal", {
          epsilon: { float: 1e-3 },
        }),
        node("Relu", ["normal"], "features"),
      ],
      batchNorm("bn"),
    ),
  "opset 15: batch norm that does not follow a convolution alone": () =>
    around(
      15,
      [
        node("BatchNormalization", ["stem", ...BATCH_NORM_INPUTS], "normal"),
        node("Add", ["normal", "stem"], "features"),
      ],
      batchNorm("bn"),
    ),
  "opset 9: a shape that the graph computes": () => ({
    opset: 9,
    input: [1, 3, 6, 6],
    nodes: [
      STEM,
      node("Shape", ["stem"], "shape"),
      node("Gather", ["shape", "zero"], "batch", { axis: 0 }),
      node("Unsqueeze", ["batch"], "batches", { axes: [0] }),
      node("Concat", ["batches", "minusOne"], "target", { axis: 0 }),
      node("Reshape", ["stem", "target"], "flat"),
      node("MatMul", ["flat", "w"], "product"),
      node("Add", ["product", "b"], "y"),
    ],
    constants: [
      ...stemConstants(),
      integers("zero", [], [0]),
      integers("minusOne", [1], [-1]),
      floats("w", [288, 5], values(1440, -0.1, 0.1)),
      floats("b", [5], values(5)),
    ],
  }),
  "opset 13: channels last, moved to the front": () => ({
    opset: 13,
    input: ["batch", 6, 6, 3],
    nodes: [
      node("Transpose", ["x"], "first", { perm: [0, 3, 1, 2] }),
      { ...STEM, inputs: ["first", "stem.w", "stem.b"] },
      node("Transpose", ["stem"], "last", { perm: [0, 2, 3, 1] }),
      node("Relu", ["last"], "rectified"),
      node("Reshape", ["rectified", "flatShape"], "flat"),
      node("MatMul", ["flat", "w"], "y"),
    ],
    constants: [
      ...stemConstants(),
      integers("flatShape", [2], [-1, 288]),
      floats("w", [288, 5], values(1440, -0.1, 0.1)),
    ],
  }),
  "opset 11: uneven padding before a strided convolution": () =>
    around(
      11,
      [
        node("Pad", ["stem", "pads"], "padded"),
        node("Conv", ["padded", "w"], "features", { kernel_shape: [3, 3], strides: [2, 2] }),
      ],
      [integers("pads", [8], [0, 0, 0, 0, 0, 0, 1, 1]), floats("w", [8, 8, 3, 3], values(576))],
    ),
  "opset 9: padding by attribute, kept apart from a pool": () =>
    around(9, [
      node("Pad", ["stem"], "padded", { pads: [0, 0, 1, 0, 0, 0, 0, 2], value: { float: 0.5 } }),
      node("AveragePool", ["padded"], "features", { kernel_shape: [2, 3], strides: [2, 1] }),
    ]),
  "opset 11: grouped, depthwise, dilated and oblong convolutions": () =>
    around(
      11,
      [
        node("Conv", ["stem", "g"], "grouped", { group: 2, pads: [1, 1, 1, 1] }),
        node("Conv", ["grouped", "d", "d.b"], "depthwise", {
          group: 8,
          auto_pad: "SAME_LOWER",
          strides: [2, 2],
        }),
        node("Conv", ["depthwise", "o"], "oblong", { pads: [0, 2, 0, 2] }),
        node("Conv", ["oblong", "dilated"], "features", {
          dilations: [2, 2],
          pads: [1, 2, 3, 2],
        }),
      ],
      [
        floats("g", [8, 4, 3, 3], values(288)),
        floats("d", [8, 1, 2, 2], values(32)),
        floats("d.b", [8], values(8)),
        floats("o", [8, 8, 1, 5], values(320)),
        floats("dilated", [8, 8, 3, 3], values(576)),
      ],
    ),
  "opset 11: transposed convolution": () =>
    around(
      11,
      [
        node("ConvTranspose", ["stem", "t", "t.b"], "features", {
          strides: [2, 2],
          pads: [1, 0, 1, 1],
          output_padding: [1, 0],
          kernel_shape: [3, 3],
        }),
      ],
      [floats("t", [8, 8, 3, 3], values(576)), floats("t.b", [8], values(8))],
    ),
  "opset 13: transposed convolution in groups": () =>
    around(
      13,
      [
        node("ConvTranspose", ["stem", "t"], "spread", { strides: [2, 1], group: 2 }),
        node("ConvTranspose", ["spread", "d"], "features", { pads: [1, 1, 1, 1], group: 8 }),
      ],
      [floats("t", [8, 4, 2, 3], values(192)), floats("d", [8, 1, 3, 3], values(72))],
    ),
  "opset 16: squeeze and excitation with hard activations": () =>
    around(
      16,
      [
        node("HardSwish", ["stem"], "swish"),
        node("GlobalAveragePool", ["swish"], "mean"),
        node("Conv", ["mean", "se.w"], "excited"),
        node("HardSigmoid", ["excited"], "gate", {
          alpha: { float: 1 / 6 },
          beta: { float: 0.5 },
        }),
        node("Mul", ["swish", "gate"], "features"),
      ],
      [floats("se.w", [8, 8, 1, 1], values(64))],
    ),
  "opset 13: swish, leaky ReLU, tanh": () =>
    around(13, [
      node("Sigmoid", ["stem"], "gate"),
      node("Mul", ["stem", "gate"], "swish"),
      node("LeakyRelu", ["swish"], "leaky", { alpha: { float: 0.2 } }),
      node("Tanh", ["leaky"], "features"),
    ]),
  "opset 13: arithmetic with constants": () =>
    around(
      13,
      [
        node("Mul", ["stem", "factor"], "scaled"),
        node("Sub", ["one", "scaled"], "complement"),
        node("Div", ["complement", "two"], "half"),
        node("Add", ["half", "shift"], "features"),
      ],
      [
        floats("factor", [1, 8, 1, 1], values(8)),
        scalar("one", 1),
        scalar("two", 2),
        floats("shift", [8, 1, 1], values(8)),
      ],
    ),
  "opset 9: channel shuffle": () =>
    around(
      9,
      [
        node("Reshape", ["stem", "split"], "groups"),
        node("Transpose", ["groups"], "turned", { perm: [0, 2, 1, 3, 4] }),
        node("Reshape", ["turned", "joined"], "features"),
      ],
      [integers("split", [5], [-1, 2, 4, 6, 6]), integers("joined", [4], [-1, 8, 6, 6])],
    ),
  "opset 11: split by attribute, concat in another order": () =>
    around(11, [
      {
        op: "Split",
        inputs: ["stem"],
        outputs: ["a", "b"],
        attributes: { axis: 1, split: [3, 5] },
      },
      node("Concat", ["b", "a"], "features", { axis: 1 }),
    ]),
  "opset 18: split into equal parts": () =>
    around(18, [
      {
        op: "Split",
        inputs: ["stem"],
        outputs: ["a", "b"],
        attributes: { axis: 1, num_outputs: 2 },
      },
      node("Concat", ["b", "a"], "features", { axis: 1 }),
    ]),
  "opset 10: slices along several axes": () =>
    around(
      10,
      [
        node("Slice", ["stem", "starts", "ends", "axes"], "part"),
        node("Conv", ["part", "w"], "features"),
      ],
      [
        integers("starts", [2], [1, -4]),
        integers("ends", [2], [5, 9223372036854775]),
        integers("axes", [2], [2, 3]),
        floats("w", [8, 8, 1, 1], values(64)),
      ],
    ),
  "opset 9: upsample": () =>
    around(
      9,
      [node("Upsample", ["stem", "scales"], "features", { mode: "linear" })],
      [floats("scales", [4], [1, 1, 2, 3])],
    ),
  "opset 11: resize to sizes, linear": () =>
    around(
      11,
      [node("Resize", ["stem", "none", "none", "sizes"], "features", { mode: "linear" })],
      [integers("sizes", [4], [1, 8, 4, 9]), floats("none", [0], [])],
    ),
  "opset 13: resize by scales, nearest": () =>
    around(
      13,
      [
        node("Resize", ["stem", "", "scales"], "features", {
          mode: "nearest",
          coordinate_transformation_mode: "asymmetric",
          nearest_mode: "floor",
        }),
      ],
      [floats("scales", [4], [1, 1, 1.5, 2])],
    ),
  "opset 10: max pool with its size rounded up": () =>
    unary(10, "MaxPool", { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  "opset 12: max pool with padding": () =>
    unary(12, "MaxPool", { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 1] }),
  "opset 19: average pool that counts its padding": () =>
    unary(19, "AveragePool", {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
      count_include_pad: 1,
    }),
  "opset 11: average pool over the whole image": () =>
    unary(11, "AveragePool", { kernel_shape: [6, 6], strides: [6, 6] }),
  "opset 11: average pool that does not": () =>
    unary(11, "AveragePool", { kernel_shape: [3, 3], pads: [1, 0, 1, 0], strides: [2, 2] }),
  "opset 17: mean over the image, dropout, softmax": () => ({
    opset: 17,
    input: ["batch", 3, 6, 6],
    nodes: [
      STEM,
      node("ReduceMean", ["stem"], "pooled", { axes: [2, 3], keepdims: 0 }),
      node("Dropout", ["pooled"], "kept"),
      node("Gemm", ["kept", "fc.w", "fc.b"], "scores", { transB: 1, alpha: { float: 0.5 } }),
      node("Softmax", ["scores"], "y"),
    ],
    constants: [...stemConstants(), ...tailConstants()],
  }),
  "opset 18: the axes of a mean as an input": () => ({
    opset: 18,
    input: ["batch", 3, 6, 6],
    nodes: [
      STEM,
      node("ReduceMean", ["stem", "axes"], "pooled"),
      node("Squeeze", ["pooled", "axes"], "flat"),
      node("Gemm", ["flat", "fc.w"], "y", { transB: 1 }),
    ],
    constants: [...stemConstants(), integers("axes", [2], [2, 3]), ...tailConstants()],
  }),
  "opset 21: weights in a Constant node, the scores an image of one pixel": () => ({
    opset: 21,
    input: ["batch", 3, 6, 6],
    nodes: [
      STEM,
      node("GlobalMaxPool", ["stem"], "pooled"),
      node("Constant", [], "w", { value: floats("", [5, 8, 1, 1], values(40)) }),
      node("Conv", ["pooled", "w"], "y"),
    ],
    constants: stemConstants(),
  }),
};

describe.each(Object.entries(CASES))("%s", (_, make) => {
  test("evaluates as the original, imported, exported again, and quantized as simulated", async () => {
    await expectSame(modelByHand(make()));
  });
});

const read = (bytes: Uint8Array, imageShape: readonly number[] = [6, 6, 3]) =>
  importOnnx(bytes, { imageShape, readExternal: noFiles });
const plain = () => unary(13, "Relu");

test("an average pool as large as the image is a mean, which has integer forms", () => {
  const ops = (attributes: HandNode["attributes"]) =>
    read(modelByHand(unary(11, "AveragePool", attributes))).network.nodes.map(({ op }) => op);
  const whole = ops({ kernel_shape: [6, 6] });
  expect(whole).toContain("globalAveragePool");
  expect(whole).not.toContain("float");
  // Padding that counts as values, or windows over parts of the image, are no such mean.
  const padded = { kernel_shape: [6, 6], pads: [0, 0, 1, 1], count_include_pad: 1 };
  expect(ops(padded)).toContain("float");
  expect(ops({ kernel_shape: [6, 5] })).toContain("float");
});

describe("what is not a network", () => {
  test("truncated and damaged files", () => {
    const bytes = modelByHand(plain());
    for (let length = 0; length < bytes.length; length += 97)
      expect(() => read(bytes.subarray(0, length))).toThrow(
        /truncated|no graph|instead of|output|nothing computes|input|opset/,
      );
    expect(() => read(new TextEncoder().encode("<html>not found</html>"))).toThrow(
      /no ONNX file|no graph/,
    );
  });
  test("random changes end in an error or a network, never in a crash or a hang", () => {
    const bytes = modelByHand(plain());
    for (let i = 0; i < 300; i++) {
      const changed = bytes.slice();
      changed[random.integer(changed.length)] = random.integer(256);
      try {
        read(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message).not.toBe("");
      }
    }
  });
  test.each<[string, () => HandModel, RegExp]>([
    ["an old opset", () => ({ ...plain(), opset: 6 }), /opset 6; accepted are 7 to 24/],
    ["an opset to come", () => ({ ...plain(), opset: 99 }), /opset 99/],
    [
      "an unknown operator",
      () => unary(13, "LSTM"),
      /LSTM "features" is not supported\. .*--output.*Conv/,
    ],
    [
      "an operator of another domain",
      () => around(13, [{ ...node("Gelu", ["stem"], "features"), domain: "com.microsoft" }]),
      /domain "com.microsoft"/,
    ],
    [
      "a cycle",
      () =>
        around(13, [
          node("Add", ["stem", "later"], "features"),
          node("Relu", ["features"], "later"),
        ]),
      /before it is computed: the graph has a cycle/,
    ],
    [
      "a value that nothing computes",
      () => around(13, [node("Add", ["stem", "ghost"], "features")]),
      /"ghost", which nothing computes/,
    ],
    [
      "a huge shape",
      () => ({
        ...plain(),
        constants: [...plain().constants, floats("huge", [2 ** 30, 2 ** 20], [])],
      }),
      /"huge" of shape \[1073741824,1048576\] is larger/,
    ],
    [
      "a result that no memory holds",
      () =>
        around(
          13,
          [node("Resize", ["stem", "", "", "sizes"], "features", { mode: "nearest" })],
          [integers("sizes", [4], [1, 8, 2 ** 30, 2 ** 30])],
        ),
      /Resize "features": gives \[1073741824,1073741824,8\] for one image/,
    ],
    [
      "a negative shape",
      () => ({ ...plain(), constants: [...plain().constants, floats("less", [-3], [])] }),
      /"less" has the shape \[-3\]/,
    ],
    [
      "fewer values than the shape says",
      () => ({ ...plain(), constants: [...plain().constants, floats("few", [4], [1, 2])] }),
      /"few" of shape \[4\] holds 2 values instead of 4/,
    ],
    [
      "weights for other channels",
      () =>
        around(
          13,
          [node("Conv", ["stem", "w"], "features")],
          [floats("w", [8, 5, 1, 1], values(40))],
        ),
      /weights for 5 channels and reads 8/,
    ],
    [
      "computed weights",
      () => around(13, [node("Conv", ["stem", "stem"], "features")]),
      /needs a constant as input 1/,
    ],
    [
      "a window larger than the image",
      () => unary(13, "MaxPool", { kernel_shape: [99, 99] }),
      /window of 99 does not fit/,
    ],
  ])("%s", (_, make, message) => {
    expect(() => read(modelByHand(make()))).toThrow(message);
  });
  test("images of another size than the network's", () => {
    const bytes = modelByHand({ ...plain(), input: [1, 3, 6, 6] });
    expect(() => read(bytes, [28, 28, 3])).toThrow(
      /takes images of \[6,6,3\].*data set has \[28,28,3\]/,
    );
  });
});

test("weights beside the model are asked for by place and length", () => {
  const data = Float32Array.from(values(8));
  const model = plain();
  const bytes = modelByHand({
    ...model,
    constants: [
      ...model.constants.filter(({ name }) => name !== "stem.b"),
      external("stem.b", [8], { location: "weights.bin", offset: "16", length: "32" }),
    ],
  });
  const { parameters } = importOnnx(bytes, {
    imageShape: [6, 6, 3],
    readExternal: (...asked) => {
      expect(asked).toEqual(["weights.bin", 16, 32]);
      return new Uint8Array(data.buffer);
    },
  });
  expect(parameters["stem/bias"]?.data).toEqual(data);
});
