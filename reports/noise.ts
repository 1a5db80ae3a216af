import type { CompletedCell } from "../results/schema.js";
import { mean, meanMargin } from "./statistics/moments.js";

/** How two groups of repetitions differ. */
export interface Difference {
  /** Mean of second minus first, as a share of images. */
  readonly mean: number;
  /** Half of its 95 % interval. */
  readonly margin: number;
  /** What the interval is made from. */
  readonly basis: "seeds" | "test images";
  readonly beyondNoise: boolean;
}

/** The normal distribution's 97.5 % quantile. */
const NORMAL_QUANTILE = 1.96;

/**
 * The difference of deployed accuracies of two groups of cells. With two or more common seeds, the
 * t interval of the paired differences; with one, an interval for two independent samples of so
 * many test images, which is too wide for networks that see the same images, never too narrow.
 *
 * @returns nothing where no seed is in both
 */
export function differenceOf(
  first: readonly CompletedCell[],
  second: readonly CompletedCell[],
): Difference | undefined {
  const bySeed = new Map(second.map((cell) => [cell.config.seed, cell]));
  const pairs = first.flatMap((a) => {
    const b = bySeed.get(a.config.seed);
    return b === undefined ? [] : [[a, b] as const];
  });
  const [pair] = pairs;
  if (pair === undefined) return undefined;
  const differences = pairs.map(([a, b]) => b.accuracy.deployed - a.accuracy.deployed);
  const center = mean(differences);
  const margin = meanMargin(differences) ?? samplingMargin(...pair);
  return {
    mean: center,
    margin,
    basis: pairs.length > 1 ? "seeds" : "test images",
    beyondNoise: Math.abs(center) > margin,
  };
}

function samplingMargin(...cells: readonly CompletedCell[]): number {
  const variances = cells.map(
    ({ accuracy: { deployed }, testImages }) => (deployed * (1 - deployed)) / testImages,
  );
  return NORMAL_QUANTILE * Math.sqrt(variances.reduce((a, b) => a + b, 0));
}
