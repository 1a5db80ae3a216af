import type { Model } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

/** Expansion, output channels, blocks and first stride of each stage (table 2 of the paper). */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 1],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;
const FULL_WIDTH = 32;
const HEAD_CHANNELS = 1280;

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
  build({ inputShape, classes, width }) {
    const scaled = (channels: number) => Math.max(1, Math.round((channels * width) / FULL_WIDTH));
    const net = new NetworkBuilder();
    const relu6 = "relu6" as const;
    let channels: number = scaled(FULL_WIDTH);
    const image = net.input(inputShape);
    let x = net.convolution("stem", image, { filters: channels, kernelSize: 3, activation: relu6 });
    STAGES.forEach(([expansion, outputs, blocks, firstStride], stage) => {
      for (let block = 0; block < blocks; block++) {
        const name = `s${String(stage)}.${String(block)}`;
        const stride = block === 0 ? firstStride : 1;
        const hidden = channels * expansion;
        const filters = scaled(outputs);
        const expanded =
          expansion === 1
            ? x
            : net.convolution(`${name}.expand`, x, {
                filters: hidden,
                kernelSize: 1,
                activation: relu6,
              });
        const filtered = net.convolution(`${name}.depthwise`, expanded, {
          filters: hidden,
          kernelSize: 3,
          stride,
          depthwise: true,
          activation: relu6,
        });
        const projected = net.convolution(`${name}.project`, filtered, { filters, kernelSize: 1 });
        const residual = stride === 1 && filters === channels;
        x = residual ? net.add(`${name}.add`, [projected, x]) : projected;
        channels = filters;
      }
    });
    const head = net.convolution("head", x, {
      filters: scaled(HEAD_CHANNELS),
      kernelSize: 1,
      activation: relu6,
    });
    return net.classifier(head, classes);
  },
} as const satisfies Model;
