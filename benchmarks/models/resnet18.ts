import { imagenetResidualNetwork } from "./imagenetResnet.js";
import type { Model } from "./model.js";

export const resnet18 = {
  name: "resnet18",
  title: "ResNet-18",
  version: 1,
  defaultWidth: 64,
  source: {
    title: "Deep Residual Learning for Image Recognition (He et al., 2016)",
    url: "https://arxiv.org/abs/1512.03385",
  },
  build: (options) => imagenetResidualNetwork(options, { blocks: [2, 2, 2, 2], bottleneck: false }),
} as const satisfies Model;
