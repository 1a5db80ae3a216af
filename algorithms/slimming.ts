import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { ChannelGroup, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { Network } from "./network.js";
import type { QuantizerValues } from "./quantizer.js";
import {
  affordableSteps,
  candidates,
  keptThatFit,
  trainSteps,
  withKept,
} from "./search/channelPruning.js";

/** First rate of the training that makes scales sparse, in the matrix's peak rates of quantized training. */
const RATE = 5;
/**
 * How far the penalty alone would move a scale in the whole training, but for momentum: 1e-4 at the rates of
 * the published code (160 epochs of 782 steps; 0.1, a tenth after half of them and after three quarters).
 */
const PULL = 1e-4 * 160 * 782 * (0.1 / 2 + 0.01 / 4 + 0.001 / 4);

/** In short trainings more would outweigh the loss. */
const MOST_PENALTY = 0.001;

/** Batch norms by the convolution whose output they scale, merged or not. */
function batchNormsOf({ nodes }: Network): ReadonlyMap<string, string> {
  return new Map(
    nodes.flatMap((node): (readonly [string, string])[] => {
      if (node.op === "batchNorm") return [[node.input, node.name]];
      return node.op === "conv2d" && node.foldedBatchNorm !== undefined
        ? [[node.name, node.foldedBatchNorm]]
        : [];
    }),
  );
}

/** Trains the float network with an L1 penalty on the scales of batch norm (equation 1). */
async function sparsify(
  laboratory: Laboratory,
  scales: readonly string[],
  steps: number,
): Promise<QuantizerValues> {
  const { prepare, parameters, descent: rule } = laboratory;
  const peak = RATE * rule.rate;
  const penalty = Math.min(MOST_PENALTY, PULL / (Math.max(1, steps) * (peak / 2)));
  const run = prepare({
    by: Object.keys(parameters).filter((name) => !/\/(mean|variance)$/.test(name)),
    training: true,
    loss: ({ crossEntropy, inputs }) =>
      scales.reduce<tf.Scalar>(
        (sum, name) => tf.add(sum, tf.mul(tf.sum(tf.abs(existing(inputs, name))), penalty)),
        crossEntropy,
      ),
  });
  const { tensors } = await trainSteps(laboratory, {
    ...{ steps, peak, first: parameters, extra: undefined },
    step: async (values, batch) => ({ ...(await run(values, batch)), extra: undefined }),
  });
  return tensors;
}

/** How much the scales of a group's channels let through: of those that additions join the largest. */
function scalesOf(
  { convolutions, channels }: ChannelGroup,
  batchNorms: ReadonlyMap<string, string>,
  parameters: QuantizerValues,
): readonly number[] | undefined {
  const scales = convolutions.flatMap((name) => {
    const batchNorm = batchNorms.get(name);
    return batchNorm === undefined ? [] : [existing(parameters, `${batchNorm}/gamma`).data];
  });
  if (scales.length === 0) return undefined;
  return Array.from({ length: channels }, (_, channel) =>
    Math.max(...scales.map((data) => Math.abs(data[channel] ?? 0))),
  );
}

/** Makes scales sparse, and lets as few of the smallest go as makes the network fit. */
async function slim(laboratory: Laboratory): Promise<Found> {
  const { network, groups, limits } = laboratory;
  const batchNorms = batchNormsOf(network);
  const scales = [...batchNorms.values()].map((name) => `${name}/gamma`);
  const sparse = await sparsify(laboratory, scales, affordableSteps(laboratory));
  const all = candidates(groups, (group) => scalesOf(group, batchNorms, sparse));
  return withKept(laboratory, sparse, keptThatFit(laboratory, all, limits));
}

function existing<T>(entries: Readonly<Record<string, T>>, name: string): T {
  const entry = entries[name];
  if (entry === undefined) throw new TypeError(`"${name}" is missing`);
  return entry;
}

/** Network slimming: channels whose batch norm has small scales go. */
export const slimming = {
  name: "slimming",
  title: "Network slimming",
  version: 1,
  family: "pruning",
  source: {
    title:
      "Learning Efficient Convolutional Networks through Network Slimming (Liu et al., ICCV 2017)",
    url: "https://arxiv.org/abs/1708.06519",
  },
  deviations: [
    "Pruned and quantized: what is left is trained as LSQ with the matrix's training of quantized networks; the paper fine-tunes in float.",
    "Channels go until half of the multiplications are left, or what the budget's share says; the paper lets a share of all channels go. The smallest scales of the whole network go first, as there.",
    "Scales are made sparse from the float network, with the image visits that the matrix allows, at a rate that falls from five times the matrix's to 0; the code trains from scratch for 160 epochs. The penalty is as much larger as rates and steps are fewer, so that by itself it would move scales as far, but at most 0.001.",
    "Channels that an addition joins go together, by the largest of their scales; the paper selects channels behind the addition. Each layer keeps its channel with the largest scale.",
    "One round: what is pruned is not pruned again.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "multiplications", share: 0.5 },
    candidates: [],
    activations: false,
    run: slim,
  },
  unsupported: (_, network) =>
    network === undefined || batchNormsOf(network).size > 0
      ? undefined
      : "it tells channels apart by the scales of batch norm, and the network has none",
} as const satisfies Algorithm;
