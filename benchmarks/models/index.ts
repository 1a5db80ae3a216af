// The networks that matrices name: how they are built, no weights. A newcomer adds a model: its file, and
// a line in the list.
import { efficientNetLite0 } from "./efficientNetLite0.js";
import { mobileNetV2 } from "./mobileNetV2.js";
import { mobileNetV2Large } from "./mobileNetV2Large.js";
import type { Model } from "./model.js";
import { regNetX600 } from "./regNetX600.js";
import { resnet18 } from "./resnet18.js";
import { resnet20 } from "./resnet20.js";
import { resnet50 } from "./resnet50.js";
import { resnet8 } from "./resnet8.js";
import { resnet8Adder } from "./resnet8Adder.js";
import { resnet8ShiftAdd } from "./resnet8ShiftAdd.js";
import { structures } from "./structures.js";
export { mobileNetV2 } from "./mobileNetV2.js";
export { mobileNetV2Large } from "./mobileNetV2Large.js";
export type { Model } from "./model.js";
export { NetworkBuilder } from "./networkBuilder.js";
export { residualNetwork } from "./resnet.js";
export { resnet20 } from "./resnet20.js";
export { structures } from "./structures.js";
export { resnet8 } from "./resnet8.js";
export { resnet8Adder } from "./resnet8Adder.js";
export { resnet8ShiftAdd } from "./resnet8ShiftAdd.js";

/** Networks for small images, a family of them at equal multiplications, then those of the MQBench paper for ImageNet. */
export const models: readonly Model[] = [
  resnet8,
  resnet20,
  mobileNetV2,
  ...structures,
  resnet8Adder,
  resnet8ShiftAdd,
  resnet18,
  resnet50,
  mobileNetV2Large,
  efficientNetLite0,
  regNetX600,
];
