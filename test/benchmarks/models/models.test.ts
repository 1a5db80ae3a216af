import { describe, expect, test } from "vitest";
import { mobileNetV2 } from "../../../benchmarks/models/mobileNetV2.js";
import { models } from "../../../benchmarks/models/index.js";
import { resnet20 } from "../../../benchmarks/models/resnet20.js";
import { resnet8 } from "../../../benchmarks/models/resnet8.js";
import {
  featureShapes,
  multiplications,
  parameterSpecs,
} from "../../../pipelines/network/index.js";
import type { Network } from "../../../algorithms/network.js";

const total = (network: Network) =>
  [...multiplications(network).values()].reduce((a, b) => a + b, 0);

function weights(network: Network): number {
  const kernels = [...parameterSpecs(network)].filter(([name]) => name.endsWith("/kernel"));
  return kernels.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

// Computed by hand from the architectures (3x3 stem, 1x1 shortcuts where the shape changes).
test.each([
  [resnet8, 8, [28, 28, 1], 2.365e6, 19.5e3],
  [resnet8, 16, [32, 32, 3], 12.502e6, 77.4e3],
  [resnet20, 8, [28, 28, 1], 7.784e6, 67.8e3],
  [resnet20, 16, [32, 32, 3], 40.813e6, 270.9e3],
] as const)(
  "$0.title of width %i on %j has %d multiplications and %d weights",
  (model, width, inputShape, macs, size) => {
    const network = model.build({ inputShape, classes: 10, width });
    expect(total(network) / macs).toBeCloseTo(1, 3);
    expect(weights(network) / size).toBeCloseTo(1, 2);
  },
);

test("MobileNetV2 has 17 depthwise blocks and adds where a block keeps its shape", () => {
  const network = mobileNetV2.build({ inputShape: [32, 32, 3], classes: 10, width: 32 });
  const count = (op: string) => network.nodes.filter((node) => node.op === op).length;
  expect(network.nodes.filter((node) => node.op === "conv2d" && node.depthwise)).toHaveLength(17);
  expect(count("add")).toBe(10);
  expect(featureShapes(network).get("head.relu6")).toEqual([4, 4, 1280]);
});

describe.each(models)("$title", (model) => {
  test("builds for grey and color images of several sizes", () => {
    for (const inputShape of [
      [28, 28, 1],
      [32, 32, 3],
      [9, 7, 2],
    ]) {
      const network = model.build({ inputShape, classes: 7, width: 4 });
      expect(featureShapes(network).get("classifier")).toEqual([7]);
    }
  });
});
