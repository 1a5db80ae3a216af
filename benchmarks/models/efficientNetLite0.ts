import { invertedResiduals } from "./invertedResiduals.js";
import type { Model } from "./model.js";

/**
 * EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6. Padding is the
 * same on both sides, where the published checkpoints pad strided convolutions on one.
 */
export const efficientNetLite0 = {
  name: "efficientNetLite0",
  title: "EfficientNet-Lite0",
  version: 1,
  defaultWidth: 32,
  source: {
    title: "EfficientNet-Lite (Google, 2020)",
    url: "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
  },
  build: (options) =>
    invertedResiduals(options, {
      stages: [
        { expansion: 1, filters: 16, blocks: 1, stride: 1, kernelSize: 3 },
        { expansion: 6, filters: 24, blocks: 2, stride: 2, kernelSize: 3 },
        { expansion: 6, filters: 40, blocks: 2, stride: 2, kernelSize: 5 },
        { expansion: 6, filters: 80, blocks: 3, stride: 2, kernelSize: 3 },
        { expansion: 6, filters: 112, blocks: 3, stride: 1, kernelSize: 5 },
        { expansion: 6, filters: 192, blocks: 4, stride: 2, kernelSize: 5 },
        { expansion: 6, filters: 320, blocks: 1, stride: 1, kernelSize: 3 },
      ],
      stemStride: 2,
      fullWidth: 32,
      headChannels: 1280,
    }),
} as const satisfies Model;
