import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { Search } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { Network } from "./network.js";
import { searchOperators, type Decided } from "./search/operatorSearch.js";

const searchFor = (decided: Decided): Search => ({
  budget: { unit: "operations", share: 0.5 },
  // The cost is weighed against the loss, and no limit.
  mayExceed: true,
  keepsTo: ["operations"],
  candidates: [],
  activations: false,
  run: (laboratory) => searchOperators(laboratory, decided),
});

/** Why operators cannot be searched: each of them has a batch norm of its own. */
function withoutBatchNorm({ nodes }: Network): string | undefined {
  const folded = nodes.find((node) => node.op === "conv2d" && node.foldedBatchNorm !== undefined);
  return folded === undefined
    ? undefined
    : `operators have a batch norm each, and that of ${folded.name} is part of it`;
}

/** NASA: each layer a convolution, a shift layer or an adder layer, by gradient descent on accuracy and cost. */
export const nasa = {
  name: "nasa",
  title: "NASA",
  version: 1,
  family: "structure",
  source: {
    title:
      "NASA: Neural Architecture Search and Acceleration for Hardware Inspired Hybrid Networks (Shi et al., ICCAD 2022) and its code",
    url: "https://arxiv.org/abs/2210.13361",
  },
  deviations: [
    "Layers of the model are searched, not inverted bottlenecks: kernel size, expansion and skips stay as they are. First and last layer multiply, as the paper's do.",
    "The float network takes the place of the first stage of pretraining, of convolutions. It is followed by two rounds of shift and adder layers, while the convolutions that they replace rest, two of all, and six in which preferences move; all have as many steps, as image visits allow.",
    "Shift layers start as the float network's convolutions, adder layers at random; weights are not shared between operators. All have one rate, which falls from five times the matrix's to 0.",
    "Parts of the active operators are their Gumbel softmax; the temperature falls by 0.975 a round.",
    "Preferences move by Adam with a rate by which they can go 5 at most, since there are hundreds of steps; the code's 3e-4 is for many thousands.",
    "Costs are shares of what all layers cost as convolutions, and their weight starts at 0.012, as the code's 1.2e-10 at 1e8 operations. It is halved after a round whose derived network costs less than 0.4 of the network of convolutions, and doubled above 0.5.",
    "While operators are searched, shift layers alone are quantized.",
    "The derived network starts from the supernet's weights, with batch norm measured again, and is trained as LSQ with the matrix's training of quantized networks; the paper trains from scratch for 650 epochs. Filters of adder layers are on the learned grid of what they read, and not on a running range.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  corrections: { recalibrateBatchNorm: true },
  search: searchFor("searched"),
  atOperators: (given) => ({ search: searchFor(given) }),
  unsupported: (_, network) => network && withoutBatchNorm(network),
} as const satisfies Algorithm;
