// What exporters make of layers that are computed in float: pattern by pattern, with layers among them that are quantized.
import { describe, expect, test } from "vitest";
import { around, node, read } from "./aroundStem.js";
import { expectSame, values } from "./beside.js";
import { booleans, floats, integers, modelByHand, type HandModel } from "./modelByHand.js";

/** 36 tokens of 8 channels, as vision transformers make them. */
const TOKENS = [
  node("Reshape", ["stem", "rows"], "columns"),
  node("Transpose", ["columns"], "tokens", { perm: [0, 2, 1] }),
];
const tokens = () => [integers("rows", [3], [0, 8, -1])];
const norm = (name: string) => [
  floats(`${name}.scale`, [8], values(8, 0.5, 1.5)),
  floats(`${name}.shift`, [8], values(8)),
];
const FLOAT_CASES: Readonly<Record<string, () => HandModel>> = {
  "attention with a class token, positions, layer norm and GELU": () => ({
    ...around(
      17,
      [
        ...TOKENS,
        node("Shape", ["stem"], "shape"),
        node("Gather", ["shape", "zero"], "batch"),
        node("Unsqueeze", ["batch", "zeros"], "batches"),
        node("Concat", ["batches", "one8"], "target", { axis: 0 }),
        node("Expand", ["class", "target"], "classes"),
        node("Concat", ["classes", "tokens"], "all", { axis: 1 }),
        node("Add", ["all", "positions"], "placed"),
        node("LayerNormalization", ["placed", "n.scale", "n.shift"], "normal"),
        node("MatMul", ["normal", "qkv.w"], "qkv.p"),
        node("Add", ["qkv.b", "qkv.p"], "qkv"),
        node("Reshape", ["qkv", "split"], "parts"), // [batch, 37, 3, 2, 4]
        node("Transpose", ["parts"], "moved", { perm: [2, 0, 3, 1, 4] }),
        ...[0, 1, 2].map((i) => node("Gather", ["moved", `i${String(i)}`], `m${String(i)}`)),
        node("Transpose", ["m1"], "keys", { perm: [0, 1, 3, 2] }),
        node("MatMul", ["m0", "keys"], "scores"),
        node("Mul", ["scores", "scale"], "scaled"),
        node("Softmax", ["scaled"], "shares", { axis: -1 }),
        node("MatMul", ["shares", "m2"], "mixed"),
        node("Transpose", ["mixed"], "joined", { perm: [0, 2, 1, 3] }),
        node("Reshape", ["joined", "flatHeads"], "heads"),
        node("Add", ["heads", "placed"], "sum"),
        node("Div", ["sum", "root"], "e1"),
        node("Erf", ["e1"], "e2"),
        node("Add", ["e2", "oneFloat"], "e3"),
        node("Mul", ["sum", "e3"], "e4"),
        node("Gather", ["e4", "zero"], "first", { axis: 1 }),
        node("Unsqueeze", ["first", "pixelAxes"], "features"),
      ],
      [
        ...tokens(),
        ...norm("n"),
        integers("zero", [], [0]),
        integers("zeros", [1], [0]),
        integers("one8", [2], [1, 8]),
        floats("class", [1, 1, 8], values(8)),
        floats("positions", [1, 37, 8], values(296)),
        floats("qkv.w", [8, 24], values(192)),
        floats("qkv.b", [24], values(24)),
        integers("split", [5], [-1, 37, 3, 2, 4]),
        ...[0, 1, 2].map((i) => integers(`i${String(i)}`, [], [i])),
        floats("scale", [], [0.5]),
        floats("root", [], [Math.SQRT2]),
        floats("oneFloat", [], [1]),
        integers("flatHeads", [3], [0, 37, 8]),
        integers("pixelAxes", [2], [2, 3]),
      ],
    ),
  }),
  "windows that are one with the batch, with a mask": () =>
    around(
      13,
      [
        node("Reshape", ["stem", "split"], "a"), // [batch, 8, 2, 3, 2, 3]
        node("Transpose", ["a"], "b", { perm: [0, 2, 4, 3, 5, 1] }),
        node("Reshape", ["b", "windows"], "w"), // [batch * 4, 9, 8]
        node("MatMul", ["w", "m"], "p"),
        node("Transpose", ["p"], "t", { perm: [0, 2, 1] }),
        node("MatMul", ["p", "t"], "scores"),
        node("Reshape", ["scores", "apart"], "c"), // [batch, 4, 9, 9]
        node("Where", ["mask", "low", "c"], "masked"),
        node("Reshape", ["masked", "again"], "d"),
        node("Softmax", ["d"], "shares", { axis: -1 }),
        node("MatMul", ["shares", "w"], "e"),
        node("Reshape", ["e", "six"], "f"),
        node("Transpose", ["f"], "g", { perm: [0, 5, 1, 3, 2, 4] }),
        node("Reshape", ["g", "image"], "features"),
      ],
      [
        integers("split", [6], [-1, 8, 2, 3, 2, 3]),
        integers("windows", [3], [-1, 9, 8]),
        integers("apart", [4], [-1, 4, 9, 9]),
        integers("again", [3], [-1, 9, 9]),
        integers("six", [6], [-1, 2, 2, 3, 3, 8]),
        integers("image", [4], [-1, 8, 6, 6]),
        floats("m", [8, 8], values(64)),
        floats("low", [], [-100]),
        booleans("mask", [1, 4, 9, 9], (i) => i % 3 === 0 && i % 10 !== 0),
      ],
    ),
  "layer norm written out, on channels last, and a scale": () =>
    around(
      17,
      [
        node("Transpose", ["stem"], "last", { perm: [0, 2, 3, 1] }),
        node("ReduceMean", ["last"], "mean", { axes: [-1] }),
        node("Sub", ["last", "mean"], "centered"),
        node("Pow", ["centered", "two"], "squares"),
        node("ReduceMean", ["squares"], "variance", { axes: [-1] }),
        node("Add", ["variance", "epsilon"], "safe"),
        node("Sqrt", ["safe"], "deviation"),
        node("Div", ["centered", "deviation"], "normal"),
        node("MatMul", ["normal", "w"], "wide"),
        node("Add", ["wide", "b"], "biased"),
        node("Mul", ["gamma", "biased"], "scaled"),
        node("Transpose", ["scaled"], "first", { perm: [0, 3, 1, 2] }),
        node("Add", ["first", "stem"], "features"),
      ],
      [
        floats("two", [], [2]),
        floats("epsilon", [], [1e-6]),
        floats("w", [8, 8], values(64)),
        floats("b", [8], values(8)),
        floats("gamma", [8], values(8)),
      ],
    ),
  "norms of groups and instances": () =>
    around(
      21,
      [
        node("InstanceNormalization", ["stem", "n.scale", "n.shift"], "i"),
        node("GroupNormalization", ["i", "n.scale", "n.shift"], "g", { num_groups: 2 }),
        node("Gelu", ["g"], "features", { approximate: "tanh" }),
      ],
      norm("n"),
    ),
  curves: () =>
    around(
      18,
      [
        node("Elu", ["stem"], "a"),
        node("Softplus", ["a"], "b"),
        node("Mish", ["b"], "c"),
        node("Selu", ["c"], "d"),
        node("Sub", ["d", "half"], "e"),
        node("PRelu", ["e", "slopes"], "f"),
        node("Neg", ["f"], "g"),
        node("Abs", ["g"], "h"),
        node("Min", ["h", "one"], "i"),
        node("Max", ["i", "half"], "j"),
        node("Exp", ["j"], "features"),
      ],
      [
        floats("half", [], [0.5]),
        floats("one", [], [1]),
        floats("slopes", [8, 1, 1], values(8, 0.1, 0.3)),
      ],
    ),
};

describe.each(Object.entries(FLOAT_CASES))("%s", (_, make) => {
  test("is computed in float, and its layers are quantized", async () => {
    const { network } = await expectSame(modelByHand(make()));
    expect(network.nodes.some(({ op }) => op === "float")).toBe(true);
  });
});

test("a matrix times every token is a layer that is quantized", () => {
  const make = FLOAT_CASES["attention with a class token, positions, layer norm and GELU"];
  const { network } = read(make?.() ?? around(13, []));
  const layers = network.nodes.filter(({ op }) => op === "conv2d" || op === "dense");
  expect(layers.map(({ name }) => name)).toEqual(["stem", "qkv.p", "y"]);
});
