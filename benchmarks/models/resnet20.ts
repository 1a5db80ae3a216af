import type { Model } from "./model.js";
import { residualNetwork } from "./resnet.js";

export const resnet20 = {
  name: "resnet20",
  title: "ResNet-20",
  version: 1,
  defaultWidth: 16,
  source: {
    title: "Deep Residual Learning for Image Recognition (He et al., 2016)",
    url: "https://arxiv.org/abs/1512.03385",
  },
  build: (options) => residualNetwork(options, 3),
} as const satisfies Model;
