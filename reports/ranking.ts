import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { algorithmOf, groupBy, isCompleted, modelOf, placeOf } from "./cells.js";
import { MARGINS } from "./decision/standing.js";
import { differenceOf } from "./measurements.js";
import { friedman, type Friedman } from "./statistics/friedman.js";
import { mean } from "./statistics/moments.js";
import { verdictsOf, type Verdict } from "./statistics/verdicts.js";

/** Two algorithms over the places (network, backend and bits) where both completed. */
export interface Pairing {
  readonly first: string;
  readonly second: string;
  /** Of each place, the mean of first minus second, as a share of images. */
  readonly differences: readonly number[];
  /** Places where the first is better, or the second, beyond noise. */
  readonly better: number;
  readonly worse: number;
  /** Places where neither is, and the whole interval lies within the margin. */
  readonly equivalent: number;
  /** Places where the data cannot tell. */
  readonly undecided: number;
}

/** Ranks of algorithms over the networks that all of them completed. */
export interface Ranking extends Friedman {
  readonly algorithms: readonly string[];
}

/**
 * Every pair of algorithms that share a place. Within each place the tests of all pairs are
 * corrected by Holm: they are one column of a table.
 */
export function pairings(results: readonly CellResult[], { equivalence } = MARGINS): Pairing[] {
  const completed = results.filter(isCompleted);
  const order = new Map([...new Set(completed.map(algorithmOf))].map((name, i) => [name, i]));
  const placeIn = (name: string) => order.get(name) ?? 0;
  const found = [...groupBy(completed, placeOf).values()].flatMap((place) => {
    const groups = [...groupBy(place, algorithmOf)].sort(([a], [b]) => placeIn(a) - placeIn(b));
    return verdictsOf(
      groups.flatMap(([first, a], i) =>
        groups.slice(i + 1).flatMap(([second, b]) => {
          const estimate = differenceOf(a, b);
          return estimate === undefined ? [] : [{ first, second, estimate }];
        }),
      ),
      equivalence,
    );
  });
  return [...groupBy(found, ({ first, second }) => JSON.stringify([first, second])).values()]
    .flatMap((places) => {
      const [one] = places;
      if (one === undefined) return [];
      const count = (wanted: Verdict) => places.filter(({ verdict }) => verdict === wanted).length;
      return [
        {
          ...{ first: one.first, second: one.second },
          differences: places.map(({ estimate }) => estimate.mean),
          ...{ better: count("better"), worse: count("worse") },
          ...{ equivalent: count("equivalent"), undecided: count("undecided") },
        },
      ];
    })
    .sort((a, b) => placeIn(a.first) - placeIn(b.first) || placeIn(a.second) - placeIn(b.second));
}

/** Fewer networks cannot show that an algorithm is better in general. */
export const FEWEST_NETWORKS = 6;

/**
 * Friedman's test over networks, for the largest part of the results in which every algorithm has
 * every network. Backends, widths and seeds of one network are averaged first: they repeat its
 * answer, and are no further evidence that an algorithm is better elsewhere.
 *
 * @returns how many networks there are where they are too few, or share no three algorithms
 */
export function ranking(results: readonly CellResult[]): Ranking | { readonly networks: number } {
  const completed = results.filter(isCompleted);
  const networks = groupBy(completed, networkOf);
  const blocks = [...networks.values()].map(commonAccuracies);
  const coverage = new Map<string, number>();
  for (const block of blocks)
    for (const name of block.keys()) coverage.set(name, (coverage.get(name) ?? 0) + 1);
  const names = [...coverage].sort(([, a], [, b]) => b - a).map(([name]) => name);
  let best: { algorithms: string[]; blocks: Block[]; size: number } | undefined;
  for (let count = 3; count <= names.length; count++) {
    const algorithms = names.slice(0, count);
    const complete = blocks.filter((block) => algorithms.every((name) => block.has(name)));
    const size = count * complete.length;
    if (complete.length >= FEWEST_NETWORKS && size >= (best?.size ?? 0))
      best = { algorithms, blocks: complete, size };
  }
  if (best === undefined) return { networks: networks.size };
  const { algorithms } = best;
  const scores = best.blocks.map((block) => algorithms.map((name) => block.get(name) ?? NaN));
  return { ...friedman(scores), algorithms };
}

type Block = ReadonlyMap<string, number>;

const networkOf = (cell: CellResult): string =>
  JSON.stringify([cell.config.dataset.name, modelOf(cell)]);

/** Mean accuracy by algorithm over the places of one network that most of its algorithms share. */
function commonAccuracies(cells: readonly CompletedCell[]): Block {
  const places = [...groupBy(cells, placeOf).values()].map((place) => groupBy(place, algorithmOf));
  const most = Math.max(...places.map((place) => place.size));
  const widest = places.filter((place) => place.size === most);
  const names = [...(widest[0]?.keys() ?? [])].filter((name) =>
    widest.every((place) => place.has(name)),
  );
  return new Map(
    names.map((name) => [
      name,
      mean(widest.flatMap((place) => (place.get(name) ?? []).map(deviceAccuracy))),
    ]),
  );
}
