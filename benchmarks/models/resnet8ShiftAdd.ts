import type { Model } from "./model.js";
import { residualNetwork } from "./resnet.js";

/** ResNet-8 in whose blocks a shift layer comes before an adder layer; shortcuts multiply. */
export const resnet8ShiftAdd = {
  name: "resnet8ShiftAdd",
  title: "ResNet-8 of shift and adder layers",
  version: 1,
  defaultWidth: 16,
  source: {
    title: "ShiftAddNet: A Hardware-Inspired Deep Network (You et al., NeurIPS 2020)",
    url: "https://arxiv.org/abs/2010.12785",
  },
  build: (options) =>
    residualNetwork(options, 1, {
      operatorOf: (layer) =>
        layer.endsWith(".a") ? "shift" : layer.endsWith(".b") ? "adder" : "convolution",
    }),
} as const satisfies Model;
