import { deviceAccuracy } from "../results/device.js";
import type { CompletedCell } from "../results/schema.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  lowestAgreement,
  missesGate,
  modelOf,
  weightBytesOf,
} from "./cells.js";
import { escapeMarkup } from "./charts/svg.js";
import { latencyRatio } from "./decision/candidates.js";
import { energyOf } from "./energy.js";
import { percent, points } from "./format.js";
import { pageOf, shortId } from "./summary.js";

/** Columns of the table of cells. */
export const COLUMNS: readonly (readonly [name: string, of: (cell: CompletedCell) => string])[] = [
  ["network", modelOf],
  ["algorithm", algorithmOf],
  ["backend", backendOf],
  ["bits", bitsOf],
  ["seed", ({ config }) => String(config.seed)],
  ["float", ({ accuracy }) => percent(accuracy.float)],
  ["simulated", ({ accuracy }) => percent(accuracy.simulated)],
  ["deployed", (cell) => percent(deviceAccuracy(cell)) + (missesGate(cell) ? " ⚠" : "")],
  ["change", (cell) => points(cell.accuracy.float - deviceAccuracy(cell))],
  ["agreement", (cell) => percent(lowestAgreement(cell))],
  ["latency, ms", ({ measured }) => measured.latency.quantized.medianMs.toPrecision(3)],
  ["latency / float", (cell) => latencyRatio(cell).toFixed(2)],
  ["weights, KiB", (cell) => (weightBytesOf(cell) / 1024).toFixed(1)],
  ["BitOps, M", ({ cost }) => (cost.quantized.bitOps / 1e6).toFixed(0)],
  ["energy, µJ", (cell) => energyOf(cell)?.toPrecision(3) ?? "–"],
];

/** Rows that are shown at first; laying out thousands takes browsers seconds. */
export const PAGE_SIZE = 500;

/** Written by hand: ten thousand rows are most of a page's weight. Closing tags may be left out. */
export function cellRow(cell: CompletedCell): string {
  const values = COLUMNS.map(([, of]) => `<td>${escapeMarkup(of(cell))}`).join("");
  const id = shortId(cell);
  return `<tr id="c${id}">${values}<td><a href="${escapeMarkup(pageOf(cell))}">${id}</a>\n`;
}
