import type { Model } from "./model.js";
import { residualNetwork } from "./resnet.js";

/** The image classification network of MLPerf Tiny, with batch norm on its shortcuts too. */
export const resnet8 = {
  name: "resnet8",
  title: "ResNet-8",
  version: 1,
  defaultWidth: 16,
  source: {
    title: "MLPerf Tiny Benchmark (Banbury et al., 2021)",
    url: "https://arxiv.org/abs/2106.07597",
  },
  build: (options) => residualNetwork(options, 1),
} as const satisfies Model;
