import { decodeCorrect } from "../results/correctImages.js";
import { deviceAccuracy } from "../results/device.js";
import type { CompletedCell } from "../results/schema.js";
import {
  estimateDifference,
  marginOf,
  type Estimate,
  type Measurement,
} from "./statistics/difference.js";
import { CONFIDENCE } from "./statistics/moments.js";

/** A cell's network on the test set, in its backend's own arithmetic where that is known. */
export const measurementOf = (cell: CompletedCell): Measurement => ({
  seed: cell.config.seed,
  accuracy: deviceAccuracy(cell),
  images: cell.testImages,
  correct: bitsOf(cell, "device"),
});

/** The float network that a cell started from. */
export const floatMeasurementOf = (cell: CompletedCell): Measurement => ({
  seed: cell.config.seed,
  accuracy: cell.accuracy.float,
  images: cell.testImages,
  correct: bitsOf(cell, "float"),
});

const decoded = new WeakMap<CompletedCell, Partial<Record<"device" | "float", Uint32Array>>>();

/** Every cell is compared with many others. */
function bitsOf(cell: CompletedCell, network: "device" | "float"): Uint32Array | undefined {
  const text = cell.correctImages?.[network];
  if (text === undefined) return undefined;
  const known = decoded.get(cell) ?? {};
  decoded.set(cell, known);
  return (known[network] ??= decodeCorrect(text, cell.testImages));
}

/** How much more accurate the first cells are than the second; nothing where either has none. */
export const differenceOf = (
  first: readonly CompletedCell[],
  second: readonly CompletedCell[],
): Estimate | undefined => estimateDifference(first.map(measurementOf), second.map(measurementOf));

/** How much more accurate cells are than the float networks that they started from. */
export const changeAgainstFloat = (cells: readonly CompletedCell[]): Estimate | undefined =>
  estimateDifference(cells.map(measurementOf), cells.map(floatMeasurementOf));

/** Whether 0 lies outside of the interval. */
export const isBeyondNoise = (difference: Estimate): boolean =>
  Math.abs(difference.mean) > marginOf(difference, CONFIDENCE);
