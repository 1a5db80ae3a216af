import pow from "@stdlib/math-base-special-pow";
import type { QuantizerSite } from "../algorithm.js";
import { rangeOf } from "../affine.js";
import {
  coverRange,
  extremes,
  observeMinMax,
  usable,
  type Grid,
  type Observer,
  type Range,
} from "./observer.js";
import { errorOfGrids, type GridError } from "./squaredError.js";
import { keptValues, observeValues } from "./values.js";

/** Parts of the extremes that are tried: 1, 0.99, ..., 0.06 (MQBench's), and down to 0.001. */
const TRIED_PARTS = [
  ...Array.from({ length: 95 }, (_, i) => 1 - i / 100),
  ...Array.from({ length: 18 }, (_, i) => 0.05 * pow(0.8, i)),
];
/** Every fourth of them: what an end is moved to while the other one stays. */
const COARSE_PARTS = TRIED_PARTS.filter((_, i) => i % 4 === 0);
/** How often each end of an affine range is moved while the other one stays. */
const PASSES = 2;
/** So many of the best grids are improved. */
const IMPROVED = 4;
/** What the scales around one of them are multiplied by: up to a hundredth more and less. */
const NEARBY = Array.from({ length: 21 }, (_, i) => 1 + (i - 10) / 1000);
/** The most turns of integers and scale; they end by themselves, mostly after two or three. */
const TURNS = 20;

/** A grid and what it does to the values. */
interface Candidate extends GridError {
  readonly grid: Grid;
}

interface Search {
  readonly site: QuantizerSite;
  readonly range: Range;
  readonly measure: (grid: Grid) => Candidate;
}

/**
 * The grid with the least squared error. The extremes are shrunk alike and, on affine grids, each on
 * its own. Around the best of these scales are tried more closely, and then integers and scale in
 * turns: the best scale for the integers, the nearest integers for that scale. Where values are few
 * or steps are small, the error has many narrow minima, between which hundredths of the range step
 * without a sight of the lowest.
 */
export const mseObserver: Observer = {
  name: "mse",
  clips: true,
  observe: (x, site) => ({ ...observeMinMax(x, site), ...observeValues(x, site) }),
  grid(batches, index, site) {
    const errorOf = errorOfGrids(keptValues(batches, index), site);
    const measure = (grid: Grid): Candidate => ({ grid, ...errorOf(grid) });
    const search = { site, range: extremes(batches, index), measure };
    const starts = shrunk(search)
      .slice(0, IMPROVED)
      .flatMap((start) => nearby(start, search));
    const [first, ...others] = ranked(starts)
      .slice(0, IMPROVED)
      .map((start) => improved(start, search));
    if (first === undefined) throw new Error("no range was tried");
    return others.reduce((best, next) => (next.error < best.error ? next : best), first).grid;
  },
};

/** The best one first; of equals the one that came first. */
const ranked = <T extends Candidate>(candidates: Iterable<T>): T[] =>
  [...candidates].sort((a, b) => a.error - b.error);

/** The different grids over parts of the range, the best one first, larger ones before smaller. */
function shrunk({ site, range, measure }: Search): Candidate[] {
  const found = new Map<string, Candidate & { readonly part: Range }>();
  const attempt = (part: Range): void => {
    const grid = coverRange({ min: range.min * part.min, max: range.max * part.max }, site);
    const key = `${String(grid.scale)} ${String(grid.zeroPoint)}`;
    if (!found.has(key)) found.set(key, { part, ...measure(grid) });
  };
  for (const part of TRIED_PARTS) attempt({ min: part, max: part });
  const turns = !site.scheme.symmetric && range.min < 0 && range.max > 0 ? PASSES : 0;
  for (let pass = 0; pass < turns; pass++) {
    for (const end of ["min", "max"] as const) {
      const [best] = ranked(found.values());
      for (const part of COARSE_PARTS) attempt({ ...(best?.part ?? range), [end]: part });
    }
  }
  return ranked(found.values());
}

/** The same grid, and those whose scale is a little smaller or larger. */
function nearby({ grid }: Candidate, { site, range, measure }: Search): Candidate[] {
  const { scale: largest } = coverRange(range, site);
  const scales = NEARBY.map((factor) => usable(Math.min(grid.scale * factor, largest), site));
  return [...new Set(scales)].map((scale) => measure({ ...grid, scale }));
}

/** The minimum that turns of integers and scale lead to. */
function improved(start: Candidate, { site, range, measure }: Search): Candidate {
  const { quantMin, quantMax } = rangeOf(site);
  const { scale: largest } = coverRange(range, site);
  const shifts = site.scheme.symmetric || site.nonNegative ? [0] : [0, -1, 1];
  let best = start;
  for (let turn = 0; turn < TURNS && best.bestScale > 0; turn++) {
    const scale = usable(Math.min(best.bestScale, largest), site);
    const better = shifts
      .map((shift) => best.grid.zeroPoint + shift)
      .filter((zeroPoint) => zeroPoint >= quantMin && zeroPoint <= quantMax)
      .map((zeroPoint) => measure({ scale, zeroPoint }))
      .reduce((least, next) => (next.error < least.error ? next : least), best);
    if (better === best) break;
    best = better;
  }
  return best;
}
