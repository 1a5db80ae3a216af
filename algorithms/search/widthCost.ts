import { macsOf, weightsOf, type LayerWork } from "../../backends/hardware/hardware.js";
import type { ChannelGroup, Laboratory } from "../laboratory.js";
import {
  filtersOf,
  nameOf,
  preferred,
  softmax,
  type AllChoices,
  type Choices,
} from "./widthChoices.js";

/** What a network costs as a function of its groups' channels: a sum of products. */
export interface WidthCost {
  /** Of each layer: its cost at the network's own channels, and the groups in proportion to which it costs. */
  readonly layers: readonly { readonly cost: number; readonly groups: readonly ChannelGroup[] }[];
}

/** Multiplications or weights as a function of channels: in proportion to inputs and outputs. */
export function costByWidths(
  { layers, groups: all }: Pick<Laboratory, "layers" | "groups">,
  unit: "multiplications" | "parameters",
): WidthCost {
  const groupOf = new Map(all.flatMap((group) => group.nodes.map((name) => [name, group])));
  const costOf = (work: LayerWork) => (unit === "parameters" ? weightsOf(work) : macsOf(work));
  return {
    layers: layers.map(({ node, work }) => {
      const own = groupOf.get(node.name);
      const isDepthwise = node.op === "conv2d" && node.depthwise;
      const read = isDepthwise ? undefined : groupOf.get(node.input);
      return { cost: costOf(work), groups: [read, own].filter((group) => group !== undefined) };
    }),
  };
}

/** The cost where every group has its mean number of channels, and its slope by each of them. */
export function expectedCost(
  { layers }: WidthCost,
  mean: (group: ChannelGroup) => number,
): { readonly cost: number; readonly slopes: ReadonlyMap<ChannelGroup, number> } {
  const slopes = new Map<ChannelGroup, number>();
  let total = 0;
  for (const { cost, groups } of layers) {
    const shares = groups.map((group) => mean(group) / group.channels);
    total += shares.reduce((product, share) => product * share, cost);
    groups.forEach((group, index) => {
      const others = shares.filter((_, at) => at !== index).reduce((a, b) => a * b, cost);
      slopes.set(group, (slopes.get(group) ?? 0) + others / group.channels);
    });
  }
  return { cost: total, slopes };
}

/** A limit on what the network costs, as a term of the loss. */
export interface LimitTerm {
  readonly unit: "multiplications" | "parameters";
  readonly allowed: number;
  readonly cost: WidthCost;
}

/** Of the search's limits, those that channels alone decide. */
export const limitTerms = (laboratory: Laboratory): readonly LimitTerm[] =>
  laboratory.limits.flatMap(({ unit: { unit }, allowed }) =>
    unit === "multiplications" || unit === "parameters"
      ? [{ unit, allowed, cost: costByWidths(laboratory, unit) }]
      : [],
  );

/** Weight of the terms, and how far below a limit the cost may stay, as a part of it (TAS's code). */
const [WEIGHT, TOLERANCE] = [2, 0.05];

/**
 * The gradient of the cost terms by each group's logits: plus or minus the logarithm of the expected cost where
 * the network of the preferred choices costs more than is allowed, or less by more than the tolerance (TAS, section
 * 3.2). By name of group.
 */
export function costPull(
  { groups, cost }: Pick<Laboratory, "groups" | "cost">,
  limits: readonly LimitTerm[],
  choices: AllChoices,
): ReadonlyMap<string, readonly number[]> {
  const searched = groups.filter((group) => choices[nameOf(group)] !== undefined);
  const own = (group: ChannelGroup): Choices | undefined => choices[nameOf(group)];
  const mean = (group: ChannelGroup): number => {
    const known = own(group);
    return known === undefined ? group.channels : meanOf(known);
  };
  const filters = filtersOf(searched, (name) => {
    const known = choices[name];
    return known?.widths[preferred(known)] ?? 1;
  });
  const pulls = new Map(searched.map((group) => [nameOf(group), [] as number[]]));
  for (const { unit, allowed, cost: byWidths } of limits) {
    const found = cost({}, { unit }, { filters });
    const sign = found > allowed ? 1 : found < (1 - TOLERANCE) * allowed ? -1 : 0;
    const expected = expectedCost(byWidths, mean);
    for (const group of searched) {
      const known = own(group);
      if (known === undefined) continue;
      const slope = (WEIGHT * sign * (expected.slopes.get(group) ?? 0)) / expected.cost;
      const center = meanOf(known);
      const chances = softmax(known.logits);
      const before = pulls.get(nameOf(group)) ?? [];
      const pull = known.widths.map(
        (width, i) => (before[i] ?? 0) + slope * (chances[i] ?? 0) * (width - center),
      );
      pulls.set(nameOf(group), pull);
    }
  }
  return pulls;
}

const meanOf = ({ widths, logits }: Choices): number =>
  softmax(logits).reduce((sum, chance, i) => sum + chance * (widths[i] ?? 0), 0);

/**
 * The preferred widths, or where these cost too much, narrower ones: again and again the choice whose next narrower
 * one is missed least.
 *
 * @throws RangeError when the narrowest choices cost too much
 */
export function fittingWidths(
  { groups, limits, cost }: Pick<Laboratory, "groups" | "limits" | "cost">,
  choices: AllChoices,
): ReadonlyMap<string, number> {
  const searched = groups.filter((group) => choices[nameOf(group)] !== undefined);
  const places = new Map(Object.entries(choices).map(([name, own]) => [name, preferred(own)]));
  const widthAt = (name: string) => choices[name]?.widths[places.get(name) ?? 0] ?? 1;
  const fits = () =>
    limits.every(
      ({ unit, allowed }) => cost({}, unit, { filters: filtersOf(searched, widthAt) }) <= allowed,
    );
  while (!fits()) {
    const [next] = Object.entries(choices)
      .flatMap(([name, { logits }]) => {
        const place = places.get(name) ?? 0;
        const loss = (logits[place] ?? 0) - (logits[place - 1] ?? 0);
        return place > 0 ? [{ name, place, loss }] : [];
      })
      .sort((a, b) => a.loss - b.loss);
    if (next === undefined)
      throw new RangeError("the narrowest choices of channels cost more than is allowed");
    places.set(next.name, next.place - 1);
  }
  return new Map(Object.keys(choices).map((name) => [name, widthAt(name)]));
}
