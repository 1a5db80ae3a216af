// What PyTorch's exporters make of models in channels_last and of attention in windows.
import { expect, test } from "vitest";
import { expectSame, values } from "./beside.js";
import { floats, integers, modelByHand, type HandModel, type HandNode } from "./modelByHand.js";

const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: HandNode["attributes"] = {},
): HandNode => ({ op, inputs, outputs: [output], attributes });

/** A network whose middle turns "stem", 8 channels of 6 x 6, into "features". */
const around = (
  batch: number | string,
  middle: readonly HandNode[],
  constants: HandModel["constants"],
): HandModel => ({
  opset: 18,
  input: [batch, 3, 6, 6],
  nodes: [
    node("Conv", ["x", "stem.w", "stem.b"], "stem", { pads: [1, 1, 1, 1] }),
    ...middle,
    node("GlobalAveragePool", ["features"], "pooled"),
    node("Flatten", ["pooled"], "flat"),
    node("Gemm", ["flat", "fc.w", "fc.b"], "y", { transB: 1 }),
  ],
  constants: [
    ...[floats("stem.w", [8, 3, 3, 3], values(216)), floats("stem.b", [8], values(8))],
    ...constants,
    ...[floats("fc.w", [5, 8], values(40)), floats("fc.b", [5], values(5))],
  ],
});

/** Places of a tensor's values if its axes have these steps, as `as_strided` asks for them. */
const placed = (sizes: readonly number[], steps: readonly number[]): number[] =>
  sizes.reduce<number[]>(
    (places, size, axis) =>
      places.flatMap((place) =>
        Array.from({ length: size }, (_, i) => place + i * (steps[axis] ?? 0)),
      ),
    [0],
  );

test.each([
  ["in their order", [8, 6, 6], [36, 6, 1]],
  ["channels last", [8, 6, 6], [1, 48, 8]],
  ["turned", [8, 6, 6], [36, 1, 6]],
])("a Gather of all values by steps is a change of axes: %s", async (_, sizes, steps) => {
  const model = around(
    1,
    [
      // Values as they lie in memory if the last two axes' order is steps'.
      node("Reshape", ["stem", "all"], "row"),
      node("Gather", ["row", "places"], "strided", { axis: 0 }),
      node("Relu", ["strided"], "r"),
      node("Conv", ["r", "w"], "features"),
    ],
    [
      integers("all", [1], [-1]),
      integers("places", [1, ...sizes], placed(sizes, steps)),
      floats("w", [8, 8, 1, 1], values(64)),
    ],
  );
  const { network } = await expectSame(modelByHand(model));
  const kinds = network.nodes.map((node) => (node.op === "float" ? node.operation.kind : node.op));
  // Nothing is taken apart and put together again.
  expect(kinds.filter((kind) => kind === "slice" || kind === "join")).toEqual([]);
});

test("a Gather of some values of everything is refused by its name", async () => {
  const model = around(
    1,
    [
      node("Reshape", ["stem", "all"], "row"),
      node("Gather", ["row", "places"], "features", { axis: 0 }),
    ],
    [
      integers("all", [1], [-1]),
      integers(
        "places",
        [1, 8, 2, 2],
        Array.from({ length: 32 }, (_, i) => (i * i) % 288),
      ),
    ],
  );
  await expect(expectSame(modelByHand(model))).rejects.toThrow(
    /^Gather "features": gathers|Gather "features" gathers/,
  );
});

/** [batch, 8, 6, 6] as windows of 3 x 3, which are one with the batch: [batch * 4, 8, 3, 3]. */
const PARTED = [
  node("Reshape", ["stem", "split"], "a"), // [batch, 8, 2, 3, 2, 3]
  node("Transpose", ["a"], "b", { perm: [0, 2, 4, 1, 3, 5] }),
  node("Reshape", ["b", "windows"], "w"),
];
const JOINED = [
  node("Reshape", ["q", "apart"], "c"), // [batch, 2, 2, 8, 3, 3]
  node("Transpose", ["c"], "d", { perm: [0, 3, 1, 4, 2, 5] }),
  node("Reshape", ["d", "whole"], "features"),
];
const sizes = () => [
  integers("split", [6], [-1, 8, 2, 3, 2, 3]),
  integers("windows", [4], [-1, 8, 3, 3]),
  integers("apart", [6], [-1, 2, 2, 8, 3, 3]),
  integers("whole", [4], [-1, 8, 6, 6]),
];

test.each<readonly [string, HandNode["attributes"], readonly number[]]>([
  ["of one pixel", {}, [8, 8, 1, 1]],
  [
    "of each channel, which see no neighboring window",
    { group: 8, pads: [1, 1, 1, 1] },
    [8, 1, 3, 3],
  ],
  ["of all channels", { pads: [1, 1, 1, 1] }, [8, 8, 3, 3]],
  ["of groups", { group: 2, pads: [1, 1, 1, 1] }, [8, 4, 3, 3]],
])("windows of an image are convolved by filters %s", async (_, attributes, shape) => {
  const model = around(
    "batch",
    [...PARTED, node("Conv", ["w", "k", "k.b"], "q", attributes), ...JOINED],
    [
      ...sizes(),
      floats("k", shape, values(shape.reduce((a, b) => a * b, 1))),
      floats("k.b", [8], values(8)),
    ],
  );
  await expectSame(modelByHand(model));
});
