import { imagenetResidualNetwork } from "./imagenetResnet.js";
import type { Model } from "./model.js";

/** With the stride in the 3x3 convolution, as PyTorch's and MQBench's. */
export const resnet50 = {
  name: "resnet50",
  title: "ResNet-50",
  version: 1,
  defaultWidth: 64,
  source: {
    title: "Deep Residual Learning for Image Recognition (He et al., 2016)",
    url: "https://arxiv.org/abs/1512.03385",
  },
  build: (options) => imagenetResidualNetwork(options, { blocks: [3, 4, 6, 3], bottleneck: true }),
} as const satisfies Model;
