import { shuffleOrder } from "../../algorithms/parallelNetwork.js";
import type { Network } from "../../algorithms/network.js";
import { multiplications } from "../../pipelines/network/index.js";
import type { Model, ModelOptions } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

/** What a unit does: its input's channels become others, its image half as large where the stride is 2. */
interface Unit {
  readonly name: string;
  readonly input: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly stride: 1 | 2;
}

/** How a network's units are made. */
interface Structure {
  readonly name: string;
  readonly title: string;
  readonly source: Model["source"];
  /** Channels are a multiple of this. */
  readonly step: number;
  /** Whether what a unit gives, or its sum with the shortcut, passes a ReLU. */
  readonly rectified: boolean;
  /** Everything up to the shortcut; the last batch norm without a ReLU. */
  readonly unit: (net: NetworkBuilder, unit: Unit) => string;
}

const RELU = { activation: "relu" } as const;
const RATIO = 4;
const EXPANSION = 6;
const GROUPS = 4;

const STRUCTURES: readonly Structure[] = [
  {
    name: "plain",
    title: "Plain 3x3",
    source: {
      title: "Very Deep Convolutional Networks (Simonyan & Zisserman, ICLR 2015)",
      url: "https://arxiv.org/abs/1409.1556",
    },
    step: 1,
    rectified: true,
    unit: (net, { name, input, outputs, stride }) =>
      net.convolution(name, input, { filters: outputs, kernelSize: 3, stride }),
  },
  {
    name: "bottleneck",
    title: "Bottleneck, ratio 4",
    source: {
      title: "Deep Residual Learning for Image Recognition (He et al., CVPR 2016)",
      url: "https://arxiv.org/abs/1512.03385",
    },
    step: RATIO,
    rectified: true,
    unit(net, { name, input, outputs, stride }) {
      const filters = outputs / RATIO;
      const narrow = net.convolution(`${name}.narrow`, input, { filters, kernelSize: 1, ...RELU });
      const middle = { filters, kernelSize: 3, stride, ...RELU };
      const filtered = net.convolution(`${name}.filter`, narrow, middle);
      return net.convolution(`${name}.widen`, filtered, { filters: outputs, kernelSize: 1 });
    },
  },
  {
    name: "invertedBottleneck",
    title: "Inverted bottleneck, expansion 6",
    source: {
      title: "MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., CVPR 2018)",
      url: "https://arxiv.org/abs/1801.04381",
    },
    step: 1,
    rectified: false,
    unit(net, { name, input, inputs, outputs, stride }) {
      const filters = inputs * EXPANSION;
      const wide = net.convolution(`${name}.widen`, input, { filters, kernelSize: 1, ...RELU });
      const middle = { filters, kernelSize: 3, stride, depthwise: true, ...RELU };
      const filtered = net.convolution(`${name}.filter`, wide, middle);
      return net.convolution(`${name}.narrow`, filtered, { filters: outputs, kernelSize: 1 });
    },
  },
  {
    name: "depthwiseSeparable",
    title: "Depthwise-separable",
    source: {
      title: "MobileNets: Efficient Convolutional Neural Networks (Howard et al., 2017)",
      url: "https://arxiv.org/abs/1704.04861",
    },
    step: 1,
    rectified: true,
    unit(net, { name, input, inputs, outputs, stride }) {
      const each = { filters: inputs, kernelSize: 3, stride, depthwise: true, ...RELU };
      const filtered = net.convolution(`${name}.filter`, input, each);
      return net.convolution(`${name}.mix`, filtered, { filters: outputs, kernelSize: 1 });
    },
  },
  {
    name: "groupedShuffle",
    title: "Grouped and shuffled, 4 groups",
    source: {
      title: "ShuffleNet (Zhang et al., CVPR 2018), for the shuffle of grouped convolutions",
      url: "https://arxiv.org/abs/1707.01083",
    },
    step: GROUPS,
    rectified: true,
    unit(net, { name, input, outputs, stride }) {
      const options = { filters: outputs, kernelSize: 3, stride, groups: GROUPS };
      const filtered = net.convolution(name, input, options);
      return net.permute(`${name}.shuffle`, filtered, shuffleOrder(outputs, GROUPS));
    },
  },
  {
    name: "lowRank",
    title: "Low rank, 3x1 and 1x3",
    source: {
      title:
        "Speeding up Convolutional Neural Networks with Low Rank Expansions (Jaderberg et al., 2014)",
      url: "https://arxiv.org/abs/1405.3866",
    },
    step: 1,
    rectified: true,
    unit(net, { name, input, outputs: filters, stride }) {
      const down = { filters, kernelSize: [3, 1], stride: [stride, 1], ...RELU } as const;
      const columns = net.convolution(`${name}.columns`, input, down);
      const across = { filters, kernelSize: [1, 3], stride: [1, stride] } as const;
      return net.convolution(`${name}.rows`, columns, across);
    },
  },
];

const STAGES = 3;
const UNITS = 2;

/**
 * A 3x3 stem, three stages of two units whose channels double and whose images halve, mean, dense. Where a unit
 * keeps its shape, its input is added to what it gives.
 *
 * @param options with a width that need not be whole: each stage rounds its own multiple of it
 */
function networkOf(
  { unit, rectified, step }: Structure,
  { inputShape, classes, width }: ModelOptions,
): Network {
  const net = new NetworkBuilder();
  const channelsOf = (stage: number) => step * Math.max(1, Math.round((width * 2 ** stage) / step));
  const stem = { filters: channelsOf(0), kernelSize: 3, ...RELU };
  let x = net.convolution("stem", net.input(inputShape), stem);
  let inputs = channelsOf(0);
  for (let stage = 0; stage < STAGES; stage++) {
    for (let index = 0; index < UNITS; index++) {
      const name = `s${String(stage)}.${String(index)}`;
      const outputs = channelsOf(stage);
      const stride = stage > 0 && index === 0 ? 2 : 1;
      const given = unit(net, { name, input: x, inputs, outputs, stride });
      const sum = stride === 1 && inputs === outputs ? net.add(`${name}.add`, [given, x]) : given;
      x = rectified ? net.relu(`${name}.out`, sum) : sum;
      inputs = outputs;
    }
  }
  return net.classifier(x, classes);
}

const products = (network: Network): number =>
  [...multiplications(network).values()].reduce((a, b) => a + b, 0);

/** The network of a structure that has as many multiplications as the plain one of the width, or nearly. */
function matched(structure: Structure, options: ModelOptions): Network {
  const [plain = structure] = STRUCTURES;
  const target = products(networkOf(plain, options));
  let best: { readonly network: Network; readonly off: number } | undefined;
  for (let width = structure.step / 4; ; width += structure.step / 4) {
    const network = networkOf(structure, { ...options, width });
    const count = products(network);
    const off = Math.abs(count - target);
    if (best === undefined || off < best.off) best = { network, off };
    if (count >= target) return best.network;
  }
}

/** The same network with other kinds of units, at as many multiplications as that of 3x3 convolutions. */
export const structures: readonly Model[] = STRUCTURES.map((structure) => ({
  ...{ name: structure.name, title: structure.title, source: structure.source },
  version: 1,
  defaultWidth: 8,
  build: (options) => matched(structure, options),
}));
