import type { Model } from "./model.js";
import { residualNetwork } from "./resnet.js";

/** ResNet-8 whose layers between stem and classifier measure distances in place of products. */
export const resnet8Adder = {
  name: "resnet8Adder",
  title: "ResNet-8 of adder layers",
  version: 1,
  defaultWidth: 16,
  source: {
    title: "AdderNet: Do We Really Need Multiplications in Deep Learning? (Chen et al., CVPR 2020)",
    url: "https://arxiv.org/abs/1912.13200",
  },
  build: (options) => residualNetwork(options, 1, { operatorOf: () => "adder" }),
} as const satisfies Model;
