import { invertedResiduals } from "./invertedResiduals.js";
import type { Model } from "./model.js";

const kernelSize = 3;
/** Table 2 of the paper. */
export const MOBILENET_V2_STAGES = [
  { expansion: 1, filters: 16, blocks: 1, stride: 1, kernelSize },
  { expansion: 6, filters: 24, blocks: 2, stride: 2, kernelSize },
  { expansion: 6, filters: 32, blocks: 3, stride: 2, kernelSize },
  { expansion: 6, filters: 64, blocks: 4, stride: 2, kernelSize },
  { expansion: 6, filters: 96, blocks: 3, stride: 1, kernelSize },
  { expansion: 6, filters: 160, blocks: 3, stride: 2, kernelSize },
  { expansion: 6, filters: 320, blocks: 1, stride: 1, kernelSize },
] as const;

/**
 * Inverted residuals with depthwise convolutions. Small-image form: the stem and the second stage
 * keep the size of the image, as is usual for CIFAR, and channels scale with `width` / 32.
 */
export const mobileNetV2 = {
  name: "mobileNetV2",
  title: "MobileNetV2 (small images)",
  version: 1,
  defaultWidth: 8,
  source: {
    title: "MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018)",
    url: "https://arxiv.org/abs/1801.04381",
  },
  build: (options) =>
    invertedResiduals(options, {
      stages: MOBILENET_V2_STAGES.map((stage, i) => (i === 1 ? { ...stage, stride: 1 } : stage)),
      stemStride: 1,
      fullWidth: 32,
      headChannels: 1280,
    }),
} as const satisfies Model;
