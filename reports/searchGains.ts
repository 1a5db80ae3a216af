import type { CellResult, CompletedCell } from "../results/schema.js";
import { backendOf, bitsOf, groupBy, isCompleted, modelOf } from "./cells.js";
import { MARGINS } from "./decision/standing.js";
import { differenceOf } from "./measurements.js";
import type { Estimate } from "./statistics/difference.js";
import { verdictsOf, type Verdict } from "./statistics/verdicts.js";

/** A search, and random search in its place: on its quantizers, with its budget and as many image visits. */
export interface SearchGain {
  /** Over seeds. */
  readonly found: readonly CompletedCell[];
  readonly drawn: readonly CompletedCell[];
  /** How much more accurate what was found is. */
  readonly estimate: Estimate;
  readonly verdict: Verdict;
}

/**
 * Every search beside random search (`search: random` in a matrix); those without one are left out. Tests
 * are corrected for how many there are.
 */
export function searchGains(
  results: readonly CellResult[],
  { equivalence } = MARGINS,
): SearchGain[] {
  const searched = results.filter(isCompleted).filter(({ search }) => search !== undefined);
  const pairs = [...groupBy(searched, effortOf).values()].flatMap((cells) => {
    const isRandom = ({ config }: CompletedCell) => config.variant?.search === "random";
    const found = cells.filter((cell) => !isRandom(cell));
    const drawn = cells.filter(isRandom);
    const estimate = differenceOf(found, drawn);
    return estimate === undefined ? [] : [{ found, drawn, estimate }];
  });
  return verdictsOf(pairs, equivalence);
}

/** What a search shares with its control: where it looked, for what, and how long it might. */
function effortOf(cell: CompletedCell): string {
  const { dataset, algorithm, variant } = cell.config;
  const place = [dataset.name, modelOf(cell), backendOf(cell), bitsOf(cell)];
  const others = { ...variant, search: undefined };
  return JSON.stringify([place, algorithm.name, others, cell.search?.visits.allowed]);
}
