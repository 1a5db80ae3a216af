import type { Network } from "../../algorithms/network.js";
import type { ModelOptions } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

export interface InvertedStage {
  readonly expansion: number;
  readonly filters: number;
  readonly blocks: number;
  readonly stride: number;
  readonly kernelSize: number;
}

export interface InvertedLayout {
  readonly stages: readonly InvertedStage[];
  readonly stemStride: number;
  /** Channels of the stem that the stages' channels belong to. */
  readonly fullWidth: number;
  readonly headChannels: number;
}

/**
 * A network of inverted residuals: a pointwise convolution that widens, a depthwise one, a
 * pointwise one that narrows; ReLU6 behind the first two. Channels scale with `width`.
 */
export function invertedResiduals(
  { inputShape, classes, width }: ModelOptions,
  { stages, stemStride, fullWidth, headChannels }: InvertedLayout,
): Network {
  const scaled = (channels: number) => Math.max(1, Math.round((channels * width) / fullWidth));
  const net = new NetworkBuilder();
  const activation = "relu6" as const;
  let channels: number = scaled(fullWidth);
  let x = net.convolution("stem", net.input(inputShape), {
    ...{ filters: channels, kernelSize: 3, stride: stemStride, activation },
  });
  stages.forEach(({ expansion, filters: full, blocks, stride: first, kernelSize }, stage) => {
    for (let block = 0; block < blocks; block++) {
      const name = `s${String(stage)}.${String(block)}`;
      const stride = block === 0 ? first : 1;
      const hidden = channels * expansion;
      const filters = scaled(full);
      const expanded =
        expansion === 1
          ? x
          : net.convolution(`${name}.expand`, x, { filters: hidden, kernelSize: 1, activation });
      const filtered = net.convolution(`${name}.depthwise`, expanded, {
        ...{ filters: hidden, kernelSize, stride, depthwise: true, activation },
      });
      const projected = net.convolution(`${name}.project`, filtered, { filters, kernelSize: 1 });
      const residual = stride === 1 && filters === channels;
      x = residual ? net.add(`${name}.add`, [projected, x]) : projected;
      channels = filters;
    }
  });
  const head = net.convolution("head", x, {
    filters: scaled(headChannels),
    kernelSize: 1,
    activation,
  });
  return net.classifier(head, classes);
}
