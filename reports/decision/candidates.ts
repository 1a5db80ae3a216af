import { deviceAccuracy } from "../../results/device.js";
import type { CellResult, CompletedCell } from "../../results/schema.js";
import { algorithmOf, bitsOf, groupBy, isAtChance, isCompleted, weightBytesOf } from "../cells.js";
import { energyOf } from "../energy.js";
import { changeAgainstFloat } from "../measurements.js";
import type { Estimate } from "../statistics/difference.js";
import { mean } from "../statistics/moments.js";

/** What using a candidate costs. */
export interface Costs {
  /** Of weights. */
  readonly bytes: number;
  /** Modelled microjoules of an image; absent where the hardware model has no such widths. */
  readonly energy: number | undefined;
  /** Measured latency over that of the float network at the same moment. */
  readonly latencyRatio: number;
  /** What quantizing took. */
  readonly seconds: number;
}

/** An algorithm at a bit width, on one backend for one network. */
export interface Candidate {
  readonly algorithm: string;
  readonly bits: string;
  /** By gradient descent on labels; else from calibration images only. */
  readonly trained: boolean;
  /** Those that completed, one for each seed. */
  readonly cells: readonly CompletedCell[];
  /** Seeds without a number. */
  readonly missing: number;
  /** Some seed is no better than guessing. */
  readonly atChance: boolean;
  /** Mean over seeds, a share of images. */
  readonly accuracy: number;
  readonly change: Estimate;
  readonly costs: Costs;
}

/**
 * The candidates among the cells of one network and backend.
 *
 * @param secondsOf what quantizing a cell's network took
 */
export function candidatesOf(
  results: readonly CellResult[],
  secondsOf: (cell: CompletedCell) => number,
): Candidate[] {
  const groups = groupBy(results, (cell) => JSON.stringify([algorithmOf(cell), bitsOf(cell)]));
  return [...groups.values()].flatMap((group): Candidate[] => {
    const cells = group.filter(isCompleted);
    const [first] = cells;
    const change = changeAgainstFloat(cells);
    if (first === undefined || change === undefined) return [];
    const energies = cells.flatMap((cell) => energyOf(cell) ?? []);
    return [
      {
        algorithm: algorithmOf(first),
        bits: bitsOf(first),
        trained: cells.some(({ batchAccuracies }) => batchAccuracies.length > 0),
        cells,
        missing: group.length - cells.length,
        atChance: cells.some(isAtChance),
        accuracy: mean(cells.map(deviceAccuracy)),
        change,
        costs: {
          bytes: mean(cells.map(weightBytesOf)),
          energy: energies.length > 0 ? mean(energies) : undefined,
          latencyRatio: mean(cells.map(latencyRatio)),
          seconds: mean(cells.map(secondsOf)),
        },
      },
    ];
  });
}

/** Both networks of a cell are measured in turns: their ratio outlives what the machine does. */
export const latencyRatio = ({ measured: { latency } }: CompletedCell): number =>
  latency.quantized.medianMs / latency.float.medianMs;

const STAGE = "quantized training";

/**
 * Seconds that quantizing took. Cells that share their tensors share one training, which is on the
 * clock of the first of them only.
 */
export function quantizingSeconds(
  completed: readonly CompletedCell[],
): (cell: CompletedCell) => number {
  const longest = new Map<string, number>();
  for (const { weightHash, measured } of completed)
    longest.set(weightHash, Math.max(longest.get(weightHash) ?? 0, measured.seconds[STAGE] ?? 0));
  return ({ weightHash }) => longest.get(weightHash) ?? 0;
}
