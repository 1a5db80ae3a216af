import { invertedResiduals } from "./invertedResiduals.js";
import { MOBILENET_V2_STAGES } from "./mobileNetV2.js";
import type { Model } from "./model.js";

/** MobileNetV2 as published, for images of 224 x 224. Without dropout. */
export const mobileNetV2Large = {
  name: "mobileNetV2Large",
  title: "MobileNetV2",
  version: 1,
  defaultWidth: 32,
  source: {
    title: "MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018)",
    url: "https://arxiv.org/abs/1801.04381",
  },
  build: (options) =>
    invertedResiduals(options, {
      stages: MOBILENET_V2_STAGES,
      stemStride: 2,
      fullWidth: 32,
      headChannels: 1280,
    }),
} as const satisfies Model;
