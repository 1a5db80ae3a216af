import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { existing } from "./existing.js";
import type { ChannelGroup, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { Network } from "./network.js";
import type { QuantizerValue, QuantizerValues } from "./quantizer.js";
import { withKept } from "./search/channelPruning.js";
import { maskOf, pruneGradually, trainingOf } from "./search/gradualChannels.js";

/**
 * How far the penalty alone would move a scale in the whole training, but for momentum: 1e-4 at the rates of
 * the published code (160 epochs of 782 steps; 0.1, a tenth after half of them and after three quarters).
 */
const PULL = 1e-4 * 160 * 782 * (0.1 / 2 + 0.01 / 4 + 0.001 / 4);

/** In short trainings more would outweigh the loss. */
const MOST_PENALTY = 0.001;

type BatchNorms = ReadonlyMap<string, string>;

/** Batch norms by the convolution whose output they scale, merged or not. */
function batchNormsOf({ nodes }: Network): BatchNorms {
  return new Map(
    nodes.flatMap((node): (readonly [string, string])[] => {
      if (node.op === "batchNorm") return [[node.input, node.name]];
      return node.op === "conv2d" && node.foldedBatchNorm !== undefined
        ? [[node.name, node.foldedBatchNorm]]
        : [];
    }),
  );
}

/** Scales and shifts of channels that are masked are 0, so that nothing behind them is left. */
function masked(
  tensors: QuantizerValues,
  groups: readonly ChannelGroup[],
  { batchNorms, masks }: { readonly batchNorms: BatchNorms; readonly masks: QuantizerValues },
): QuantizerValues {
  const found: Record<string, QuantizerValue> = { ...tensors };
  for (const group of groups) {
    const { data: mask } = existing(masks, maskOf(group));
    for (const convolution of group.convolutions)
      for (const part of ["gamma", "beta"]) {
        const name = `${batchNorms.get(convolution) ?? ""}/${part}`;
        const value = tensors[name];
        if (value === undefined) continue;
        const data = value.data.map((one, channel) => one * (mask[channel] ?? NaN));
        found[name] = { shape: value.shape, data };
      }
  }
  return found;
}

/** How much the scales of a group's channels let through: of those that additions join the mean. */
function scalesOf(
  { convolutions, channels }: ChannelGroup,
  batchNorms: BatchNorms,
  parameters: QuantizerValues,
): readonly number[] | undefined {
  const scales = convolutions.flatMap((name) => {
    const batchNorm = batchNorms.get(name);
    return batchNorm === undefined ? [] : [existing(parameters, `${batchNorm}/gamma`).data];
  });
  if (scales.length === 0) return undefined;
  return Array.from(
    { length: channels },
    (_, channel) =>
      scales.reduce((sum, data) => sum + Math.abs(data[channel] ?? 0), 0) / scales.length,
  );
}

/** Trains the float network with an L1 penalty on the scales of batch norm (equation 1), and lets the smallest go. */
async function slim(laboratory: Laboratory): Promise<Found> {
  const { network, groups, parameters, prepare } = laboratory;
  const batchNorms = batchNormsOf(network);
  const scales = [...batchNorms.values()].map((name) => `${name}/gamma`);
  const { steps, peak } = trainingOf(laboratory);
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
  const { tensors, kept } = await pruneGradually(laboratory, {
    first: parameters,
    scoresOf: (group, values) => scalesOf(group, batchNorms, values),
    step: (values, batch, masks) => run(masked(values, groups, { batchNorms, masks }), batch),
  });
  return withKept(laboratory, tensors, kept);
}

/** Network slimming: channels whose batch norm has small scales go. */
export const slimming = {
  name: "slimming",
  title: "Network slimming",
  version: 2,
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
    "Channels go during the first half of that training, by the cubic schedule of gradual pruning, and may come back until the budget is met: in so short a training scales do not get to 0, and a network from which half is taken at once begins anew. The paper prunes once, or several times with trainings between.",
    "Channels that an addition joins go together, by the mean of their scales; the paper selects channels behind the addition. Each layer keeps its channel with the largest scale.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "multiplications", share: 0.5 },
    keepsTo: ["multiplications", "operations", "parameters", "microseconds"],
    candidates: [],
    activations: false,
    run: slim,
  },
  unsupported: (_, network) =>
    network === undefined || batchNormsOf(network).size > 0
      ? undefined
      : "it tells channels apart by the scales of batch norm, and the network has none",
} as const satisfies Algorithm;
