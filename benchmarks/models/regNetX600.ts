import type { Model } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

/** Channels and blocks of each stage, as widths and depths of table 3 of the paper quantize to. */
const STAGES = [
  [48, 1],
  [96, 3],
  [240, 5],
  [528, 7],
] as const;
const GROUP_WIDTH = 24;
const STEM = 32;

/** RegNetX-600MF: residual blocks of 1x1, grouped 3x3 and 1x1 convolutions of one width. */
export const regNetX600 = {
  name: "regNetX600",
  title: "RegNetX-600MF",
  version: 1,
  defaultWidth: STEM,
  source: {
    title: "Designing Network Design Spaces (Radosavovic et al., CVPR 2020)",
    url: "https://arxiv.org/abs/2003.13678",
  },
  build({ inputShape, classes, width }) {
    // Groups keep their number when channels scale, so that channels always divide.
    const scaled = (channels: number) => {
      const groups = channels / GROUP_WIDTH;
      return groups * Math.max(1, Math.round((GROUP_WIDTH * width) / STEM));
    };
    const net = new NetworkBuilder();
    const relu = "relu" as const;
    let x = net.convolution("stem", net.input(inputShape), {
      ...{ filters: width, kernelSize: 3, stride: 2, activation: relu },
    });
    STAGES.forEach(([channels, blocks], stage) => {
      const filters = scaled(channels);
      for (let block = 0; block < blocks; block++) {
        const name = `s${String(stage)}.${String(block)}`;
        const stride = block === 0 ? 2 : 1;
        const a = net.convolution(`${name}.a`, x, { filters, kernelSize: 1, activation: relu });
        const b = net.convolution(`${name}.b`, a, {
          ...{ filters, kernelSize: 3, stride, groups: channels / GROUP_WIDTH, activation: relu },
        });
        const c = net.convolution(`${name}.c`, b, { filters, kernelSize: 1 });
        const shortcut =
          stride === 1 ? x : net.convolution(`${name}.d`, x, { filters, kernelSize: 1, stride });
        x = net.relu(`${name}.relu`, net.add(`${name}.add`, [c, shortcut]));
      }
    });
    return net.classifier(x, classes);
  },
} as const satisfies Model;
