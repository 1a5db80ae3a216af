import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { variantLabel } from "../results/variant.js";
import { algorithmOf, groupBy, isCompleted, placeOf } from "./cells.js";
import { MARGINS } from "./decision/standing.js";
import { differenceOf } from "./measurements.js";
import type { Estimate } from "./statistics/difference.js";
import { mean } from "./statistics/moments.js";
import { verdictsOf, type Verdict } from "./statistics/verdicts.js";

/** What was found beside something else, over seeds. */
export interface Comparison {
  readonly cells: readonly CompletedCell[];
  /** How much more accurate what was found is. */
  readonly estimate: Estimate;
  readonly verdict: Verdict;
}

/** A search and its controls. */
export interface SearchGain {
  /** Over seeds. */
  readonly found: readonly CompletedCell[];
  /** Random search in its place: on its quantizers, with its budget and as many image visits. */
  readonly random: Comparison;
  /** The most accurate algorithm with the matrix's bits everywhere, which is what a budget is made of; absent where there is none. */
  readonly uniform: Comparison | undefined;
}

/**
 * Every search beside random search (`search: random` in a matrix) and the same bits everywhere; those
 * without the former are left out. Tests of each control are corrected for how many there are.
 */
export function searchGains(
  results: readonly CellResult[],
  { equivalence } = MARGINS,
): SearchGain[] {
  const completed = results.filter(isCompleted);
  const searched = completed.filter(({ search }) => search !== undefined);
  const groups = [...groupBy(searched, effortOf).values()].flatMap((cells) => {
    const found = cells.filter((cell) => !isRandom(cell));
    const [first] = found;
    const drawn = cells.filter(isRandom);
    if (first === undefined || drawn.length === 0) return [];
    const peers = completed.filter((cell) => placeOf(cell) === placeOf(first) && isUniform(cell));
    return [{ found, drawn, uniform: mostAccurate(peers) }];
  });
  const against = (control: (group: (typeof groups)[number]) => readonly CompletedCell[]) => {
    const tested = groups.flatMap((group) => {
      const estimate = differenceOf(group.found, control(group));
      return estimate === undefined ? [] : [{ group, cells: control(group), estimate }];
    });
    return new Map(verdictsOf(tested, equivalence).map((one) => [one.group, one]));
  };
  const random = against(({ drawn }) => drawn);
  const uniform = against((group) => group.uniform);
  return groups.flatMap((group) => {
    const comparison = random.get(group);
    if (comparison === undefined) return [];
    return [{ found: group.found, random: comparison, uniform: uniform.get(group) }];
  });
}

const isRandom = ({ config }: CompletedCell): boolean => config.variant?.search === "random";

/** Whether nobody chose bits or channels, and nothing else is varied. */
const isUniform = ({ search, sites, config }: CompletedCell): boolean =>
  search === undefined &&
  variantLabel(config) === "" &&
  sites.every(({ channelBits }) => channelBits === undefined);

/** The algorithm with the highest mean; none of none. */
const mostAccurate = (cells: readonly CompletedCell[]): readonly CompletedCell[] =>
  [...groupBy(cells, algorithmOf).values()].toSorted(
    (a, b) => mean(b.map(deviceAccuracy)) - mean(a.map(deviceAccuracy)),
  )[0] ?? [];

/** What a search shares with random search: where it looked, for what, and how long it might. */
function effortOf(cell: CompletedCell): string {
  const { algorithm, variant } = cell.config;
  const others = { ...variant, search: undefined };
  return JSON.stringify([placeOf(cell), algorithm.name, others, cell.search?.visits.allowed]);
}
