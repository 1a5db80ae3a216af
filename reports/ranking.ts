import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, groupBy, isCompleted, modelOf } from "./cells.js";
import { bootstrapInterval } from "./statistics/bootstrap.js";
import { friedman, type Friedman } from "./statistics/friedman.js";
import { holm } from "./statistics/holm.js";
import { CONFIDENCE, mean } from "./statistics/moments.js";
import { signedRankTest } from "./statistics/wilcoxon.js";

/** Fewer pairs cannot show anything at 5 %: all of them pointing one way happens in 1 of 16. */
const FEWEST_PAIRS = 6;

/** Two algorithms over the cells and seeds that both completed. */
export interface Pairing {
  readonly first: string;
  readonly second: string;
  readonly pairs: number;
  /** Mean of first minus second, as a share of images. */
  readonly difference: number;
  /** By the bootstrap; absent for too few pairs. */
  readonly interval?: readonly [number, number];
  /** Wilcoxon's, corrected by Holm over all pairings with enough pairs. */
  readonly pValue?: number;
  readonly verdict: "better" | "worse" | "tie" | "too few pairs";
}

/** Ranks of algorithms over the blocks that all of them completed. */
export interface Ranking extends Friedman {
  readonly algorithms: readonly string[];
}

type Block = ReadonlyMap<string, number>;

/** Where algorithms can be compared: the same network, backend and bits. */
const placeOf = (result: CellResult): string =>
  JSON.stringify([modelOf(result), backendOf(result), bitsOf(result)]);

/** Every pair of algorithms that share cells, compared over the same cells and seeds. */
export function pairings(results: readonly CellResult[]): Pairing[] {
  const completed = results.filter(isCompleted);
  const blocks = blocksOf(completed, (cell) => `${placeOf(cell)} ${String(cell.config.seed)}`);
  const names = [...new Set(completed.map(algorithmOf))];
  const found = names.flatMap((first, i) =>
    names.slice(i + 1).flatMap((second) => {
      const differences = blocks.flatMap((block) => {
        const [a, b] = [block.get(first), block.get(second)];
        return a === undefined || b === undefined ? [] : [a - b];
      });
      return differences.length === 0 ? [] : [{ first, second, differences }];
    }),
  );
  const enough = found.filter(({ differences }) => differences.length >= FEWEST_PAIRS);
  const corrected = holm(enough.map(({ differences }) => signedRankTest(differences).pValue));
  const pValues = new Map(enough.map((pair, i) => [pair, corrected[i] ?? 1]));
  return found.map((pair) => {
    const { first, second, differences } = pair;
    const pValue = pValues.get(pair);
    const difference = mean(differences);
    const common = { first, second, pairs: differences.length, difference };
    if (pValue === undefined) return { ...common, verdict: "too few pairs" };
    const interval = bootstrapInterval(differences);
    const differs = pValue < 1 - CONFIDENCE;
    return {
      ...{ ...common, interval, pValue },
      verdict: !differs ? "tie" : difference > 0 ? "better" : "worse",
    };
  });
}

/**
 * Friedman's test over the largest part of the results in which every algorithm has every cell.
 * Seeds are averaged first: repetitions of a cell are not further evidence that an algorithm is
 * better elsewhere.
 *
 * @returns a reason where no such part has three algorithms and two cells
 */
export function ranking(results: readonly CellResult[]): Ranking | { readonly reason: string } {
  const blocks = blocksOf(results.filter(isCompleted), placeOf);
  const coverage = new Map<string, number>();
  for (const block of blocks)
    for (const name of block.keys()) coverage.set(name, (coverage.get(name) ?? 0) + 1);
  const names = [...coverage].sort(([, a], [, b]) => b - a).map(([name]) => name);
  let best: { algorithms: string[]; blocks: Block[]; size: number } | undefined;
  for (let count = 3; count <= names.length; count++) {
    const algorithms = names.slice(0, count);
    const complete = blocks.filter((block) => algorithms.every((name) => block.has(name)));
    const size = count * complete.length;
    if (complete.length >= 2 && size >= (best?.size ?? 0))
      best = { algorithms, blocks: complete, size };
  }
  if (best === undefined)
    return { reason: "no three algorithms share two cells (network, backend and bits)" };
  const { algorithms } = best;
  const scores = best.blocks.map((block) => algorithms.map((name) => block.get(name) ?? NaN));
  return { ...friedman(scores), algorithms };
}

/** Deployed accuracy by algorithm in each block; the mean where a block holds several. */
function blocksOf(
  completed: readonly CompletedCell[],
  keyOf: (cell: CompletedCell) => string,
): Block[] {
  return [...groupBy(completed, keyOf).values()].map(
    (block) =>
      new Map(
        [...groupBy(block, algorithmOf)].map(([name, cells]) => [
          name,
          mean(cells.map(deviceAccuracy)),
        ]),
      ),
  );
}
