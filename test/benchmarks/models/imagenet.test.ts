import { expect, test } from "vitest";
import { efficientNetLite0 } from "../../../benchmarks/models/efficientNetLite0.js";
import { mobileNetV2Large } from "../../../benchmarks/models/mobileNetV2Large.js";
import { regNetX600 } from "../../../benchmarks/models/regNetX600.js";
import { resnet18 } from "../../../benchmarks/models/resnet18.js";
import { resnet50 } from "../../../benchmarks/models/resnet50.js";
import { multiplications, parameterSpecs } from "../../../pipelines/network/index.js";

// Learned parameters and multiplications as torchvision's model cards and the papers state them.
test.each([
  [resnet18, 11.69e6, 1.814e9],
  [resnet50, 25.557e6, 4.089e9],
  [mobileNetV2Large, 3.505e6, 0.301e9],
  [efficientNetLite0, 4.652e6, 0.385e9],
  [regNetX600, 6.196e6, 0.603e9],
] as const)("$title has the size of its publication", (model, parameters, macs) => {
  const options = { inputShape: [224, 224, 3], classes: 1000, width: model.defaultWidth };
  const network = model.build(options);
  const learned = [...parameterSpecs(network).values()]
    .filter(({ group }) => group !== "statistics")
    .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const counted = [...multiplications(network).values()].reduce((a, b) => a + b, 0);
  expect(learned / parameters).toBeCloseTo(1, 2);
  expect(counted / macs).toBeCloseTo(1, 1);
});
