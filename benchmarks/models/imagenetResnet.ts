import type { Network } from "../../algorithms/network.js";
import type { ModelOptions } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

interface Layout {
  /** Blocks of each stage. */
  readonly blocks: readonly number[];
  /** 1x1, 3x3 and 1x1 convolutions to four times the width, instead of two of 3x3. */
  readonly bottleneck: boolean;
}

/** The residual networks of table 1 of He et al., 2016, for large images. */
export function imagenetResidualNetwork(
  { inputShape, classes, width }: ModelOptions,
  { blocks, bottleneck }: Layout,
): Network {
  const net = new NetworkBuilder();
  const relu = "relu" as const;
  const stem = net.convolution("stem", net.input(inputShape), {
    filters: width,
    kernelSize: 7,
    stride: 2,
    activation: relu,
  });
  let x = net.maxPool("stem.pool", stem, { size: 3, stride: 2 });
  let channels = width;
  blocks.forEach((count, stage) => {
    const hidden = width * 2 ** stage;
    const filters = bottleneck ? 4 * hidden : hidden;
    for (let block = 0; block < count; block++) {
      const name = `s${String(stage)}.${String(block)}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const reduced = bottleneck
        ? net.convolution(`${name}.a`, x, { filters: hidden, kernelSize: 1, activation: relu })
        : x;
      const middle = net.convolution(`${name}.b`, reduced, {
        ...{ filters: hidden, kernelSize: 3, stride, activation: relu },
      });
      const last = net.convolution(`${name}.c`, middle, {
        filters,
        kernelSize: bottleneck ? 1 : 3,
      });
      const shortcut =
        stride === 1 && channels === filters
          ? x
          : net.convolution(`${name}.d`, x, { filters, kernelSize: 1, stride });
      x = net.relu(`${name}.relu`, net.add(`${name}.add`, [last, shortcut]));
      channels = filters;
    }
  });
  return net.classifier(x, classes);
}
