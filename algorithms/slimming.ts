import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { ChannelGroup, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import type { Network } from "./network.js";
import type { QuantizerValues } from "./quantizer.js";
import { descend, startDescent, type Descent } from "./search/descent.js";
import { keptFilters, keptParameters, type Kept } from "./search/keptChannels.js";
import { imagesOf } from "./search/recalibration.js";

/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;
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

interface Sparse {
  readonly descent: Descent;
  readonly steps: number;
}

/** Trains the float network with an L1 penalty on the scales of batch norm (equation 1). */
async function sparsify(
  laboratory: Laboratory,
  scales: readonly string[],
  steps: number,
): Promise<QuantizerValues> {
  const { prepare, epoch, rounds, parameters, descent: rule } = laboratory;
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
  const first: Sparse = { descent: startDescent(parameters), steps: 0 };
  const { descent } = await rounds("sparsify", () => first, {
    most: Infinity,
    done: (state) => state.steps >= steps,
    async round(state, index) {
      let { descent: current, steps: step } = state;
      for (const batch of epoch(`sparsify ${String(index)}`)) {
        if (step >= steps) break;
        const { loss, gradients, statistics } = await run(current.tensors, batch);
        if (!Number.isFinite(loss))
          throw new RangeError(
            `the loss became ${String(loss)} at step ${String(step + 1)} of making scales sparse`,
          );
        const moved = descend(current, gradients, { ...rule, rate: peak * (1 - step / steps) });
        current = { ...moved, tensors: { ...moved.tensors, ...statistics } };
        step++;
      }
      return { descent: current, steps: step };
    },
  });
  return descent.tensors;
}

/** A channel that could go, and how much its scale lets through. */
interface Candidate {
  readonly group: ChannelGroup;
  readonly channel: number;
  readonly scale: number;
}

/** All channels that could go, the smallest scales first; the largest of each group stays. */
function candidatesOf(
  groups: readonly ChannelGroup[],
  batchNorms: ReadonlyMap<string, string>,
  parameters: QuantizerValues,
): readonly Candidate[] {
  return groups
    .filter(({ fixedBy }) => fixedBy === undefined)
    .flatMap((group) => {
      const scales = group.convolutions.flatMap((name) => {
        const batchNorm = batchNorms.get(name);
        return batchNorm === undefined ? [] : [existing(parameters, `${batchNorm}/gamma`).data];
      });
      if (scales.length === 0) return [];
      return Array.from({ length: group.channels }, (_, channel) => ({
        group,
        channel,
        scale: Math.max(...scales.map((data) => Math.abs(data[channel] ?? 0))),
      }))
        .sort((a, b) => a.scale - b.scale)
        .slice(0, -1);
    })
    .sort((a, b) => a.scale - b.scale);
}

/** What stays when the first `gone` of the candidates go. */
function keptWithout(groups: readonly ChannelGroup[], gone: readonly Candidate[]): Kept {
  return new Map(
    groups.flatMap((group) => {
      const lost = new Set(gone.filter((one) => one.group === group).map(({ channel }) => channel));
      if (lost.size === 0) return [];
      const all = Array.from({ length: group.channels }, (_, channel) => channel);
      return [[group, all.filter((channel) => !lost.has(channel))] as const];
    }),
  );
}

/** Makes scales sparse, and lets as few of the smallest go as makes the network fit. */
async function slim(laboratory: Laboratory): Promise<Found> {
  const { network, groups, visits, heldOut, epoch, cost, limits, prepare, note } = laboratory;
  const batchNorms = batchNormsOf(network);
  const scales = [...batchNorms.values()].map((name) => `${name}/gamma`);
  const [first] = epoch("sparsify 0");
  const perStep = GRADIENT_VISITS * (first?.labels.data.length ?? NaN);
  const steps = Math.floor((visits.allowed - imagesOf(heldOut)) / perStep);
  const sparse = await sparsify(laboratory, scales, Math.max(0, steps));
  const candidates = candidatesOf(groups, batchNorms, sparse);
  const without = (count: number) => keptWithout(groups, candidates.slice(0, count));
  const fits = (count: number) =>
    limits.every(
      ({ unit, allowed }) => cost({}, unit, { filters: keptFilters(without(count)) }) <= allowed,
    );
  if (!fits(candidates.length))
    throw new RangeError(
      `the budget of ${String(laboratory.budget)} is below what is left with one channel in each layer`,
    );
  let [low, high] = [-1, candidates.length];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) high = middle;
    else low = middle;
  }
  const kept = without(high);
  const filters = keptFilters(kept);
  const tensors = keptParameters(laboratory, sparse, kept);
  if (visits.used + imagesOf(heldOut) > visits.allowed) return { policy: {}, filters, tensors };
  const judge = prepare({ filters, by: [], training: false });
  let [correct, loss] = [0, 0];
  for (const batch of heldOut) {
    const found = await judge(tensors, batch);
    correct += found.correct;
    loss += found.loss * batch.labels.data.length;
  }
  const images = imagesOf(heldOut);
  note({ policy: {}, filters, accuracy: correct / images, loss: loss / images });
  return { policy: {}, filters, tensors };
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
