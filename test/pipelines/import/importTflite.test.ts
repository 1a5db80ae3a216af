import { describe, expect, test } from "vitest";
import { importTflite } from "../../../pipelines/import/index.js";
import { expectSame } from "./beside.js";
import { tfliteByHand } from "./tfliteByHand.js";
import { LAYERS } from "./tfliteLayers.js";
import { OP, unary } from "./tfliteParts.js";
import { SHAPES } from "./tfliteShapes.js";

describe.each(Object.entries({ ...LAYERS, ...SHAPES }))("%s", (name, make) => {
  test("evaluates as on LiteRT, imported, exported again, and quantized as simulated", async () => {
    const model = make();
    const [, height = 1, width = 1, channels = 1] = model.input;
    const imageShape = model.input.length === 4 ? [height, width, channels] : [6, 6, 3];
    const output = (model.outputs ?? []).length > 1 ? { options: { output: "y" } } : {};
    await expectSame(tfliteByHand(model), { imageShape, ...output });
  });
});

test("layers keep their weights as they lie in the file", () => {
  const model = unary(OP.RELU);
  const { network, parameters, input } = importTflite(tfliteByHand(model), {
    imageShape: [6, 6, 3],
  });
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
