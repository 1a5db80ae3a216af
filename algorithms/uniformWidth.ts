import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { Filters, Found, Laboratory } from "./laboratory.js";
import { lsq } from "./lsq.js";
import { resized } from "./search/grownChannels.js";
import { filtersOf, nameOf } from "./search/widthChoices.js";

/** Factors that are tried: from one channel in each layer to sixteen times as many, in steps of a hundredth. */
const [FINEST, MOST] = [100, 16];

/** All layers as much wider or narrower as the limits allow; no image is looked at. */
function scaleWidths(laboratory: Laboratory): Promise<Found> {
  const { groups, limits, cost, random } = laboratory;
  const free = groups.filter(({ fixedBy }) => fixedBy === undefined);
  const countAt = (channels: number, step: number) =>
    Math.max(1, Math.round((channels * step) / FINEST));
  const filtersAt = (step: number): Filters => {
    const counts = new Map(free.map((group) => [nameOf(group), countAt(group.channels, step)]));
    return filtersOf(free, (name) => counts.get(name) ?? 1);
  };
  const fits = (step: number) =>
    limits.every(({ unit, allowed }) => cost({}, unit, { filters: filtersAt(step) }) <= allowed);
  if (!fits(0)) throw new RangeError("a network with one channel in each layer costs too much");
  let [low, high] = [0, FINEST * MOST + 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  const counts = new Map(free.map((group) => [group, countAt(group.channels, low)]));
  const tensors = resized(laboratory, counts, random("wider"));
  return Promise.resolve({ policy: {}, filters: filtersAt(low), tensors });
}

/** The control of searches of channels: all layers wider or narrower by the same factor. */
export const uniformWidth = {
  name: "uniformWidth",
  title: "Uniform width",
  version: 1,
  family: "structure",
  source: {
    title:
      "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (Howard et al., 2017)",
    url: "https://arxiv.org/abs/1704.04861",
  },
  deviations: [
    "A width multiplier, the largest that the budget allows; with all of the matrix's network as budget it is 1. What there was starts from the float network: the first channels of each layer where it is narrower, new filters and near-zero weights by which old ones read them where it is wider. Trained as LSQ.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "multiplications" },
    keepsTo: ["multiplications", "operations", "parameters", "microseconds"],
    candidates: [],
    activations: false,
    run: scaleWidths,
  },
} as const satisfies Algorithm;
