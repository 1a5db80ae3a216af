import { mobileNetV2 } from "./mobileNetV2.js";
import type { Model } from "./model.js";
import { resnet20 } from "./resnet20.js";
import { resnet8 } from "./resnet8.js";

export const models: readonly Model[] = [resnet8, resnet20, mobileNetV2];
