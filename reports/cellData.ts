import type { CompletedCell } from "../results/schema.js";
import { inert } from "./inert.js";
import { cellName } from "../results/store.js";
import { algorithmOf, backendOf, bitsOf, groupBy, modelOf } from "./cells.js";
import { percent } from "./format.js";
import { mean } from "./statistics/moments.js";
import { deviceAccuracy } from "../results/device.js";
import type { ReportFile } from "./reportInput.js";

/** Points of a stored loss curve. */
const POINTS = 60;

/**
 * What the page of cells side by side reads: a list of all cells, and the layers and losses of those
 * that share a network, backend and width in a file each. They are scripts, since a page that was
 * opened from a file may load nothing else.
 */
export function* cellDataFiles(completed: readonly CompletedCell[]): Generator<ReportFile> {
  const groups = [...groupBy(completed, placeOf)];
  const list = groups.flatMap(([, cells], group) =>
    cells.map((cell) => ({
      name: cellName(cell),
      group,
      model: modelOf(cell),
      label: labelOf(cell),
    })),
  );
  yield { path: "data/cells.js", content: script("list", list) };
  for (const [group, [, cells]] of groups.entries()) {
    const details = Object.fromEntries(cells.map((cell) => [cellName(cell), detailsOf(cell)]));
    yield {
      path: `data/group${String(group)}.js`,
      content: script(`group${String(group)}`, details),
    };
  }
}

/** Cells that share a file. */
const placeOf = (cell: CompletedCell): string =>
  JSON.stringify([modelOf(cell), backendOf(cell), bitsOf(cell)]);

/** In which file each cell is. */
export const groupsOf = (completed: readonly CompletedCell[]): ReadonlyMap<CompletedCell, number> =>
  new Map(
    [...groupBy(completed, placeOf).values()].flatMap((cells, group) =>
      cells.map((cell) => [cell, group] as const),
    ),
  );

/** JSON is JavaScript, but for what would end a script within a page, which this never is in. */
const script = (name: string, value: unknown): string =>
  `(globalThis.quantbench ??= {}).${name} = ${JSON.stringify(value)};\n`;

const labelOf = (cell: CompletedCell): string =>
  inert(
    `${algorithmOf(cell)} on ${backendOf(cell)}, ${bitsOf(cell)}, seed ${String(cell.config.seed)}`,
  );

/** Columns instead of rows, and shares in percent: names and digits would be most of the file. */
function detailsOf(cell: CompletedCell) {
  const bits = new Map(cell.sites.map(({ id, bitWidth }) => [id, bitWidth]));
  const { sites } = cell.inspection;
  return {
    accuracy: percent(deviceAccuracy(cell)),
    losses: smoothed(cell.losses),
    ids: inert(sites.map(({ id }) => id).join(" ")),
    bits: sites.map(({ id }) => bits.get(id) ?? null),
    sqnr: sites.map(({ sqnr }) => (sqnr === null ? null : rounded(sqnr, 100))),
    clipped: sites.map(({ clipped }) => rounded(100 * clipped, 1000)),
    differing: sites.map((site) => {
      const share = site.integersDiffering ?? site.differing;
      return share === undefined ? null : rounded(100 * share, 1000);
    }),
    histograms: sites.map(({ histogram: found }) =>
      found === undefined
        ? null
        : [found.from, found.to, found.uniform ? 1 : 0, found.counts, ...found.levels],
    ),
  };
}

const rounded = (value: number, parts: number): number => Math.round(value * parts) / parts;

function smoothed(values: readonly number[]): number[] {
  const bin = Math.max(1, Math.ceil(values.length / POINTS));
  return Array.from({ length: Math.ceil(values.length / bin) }, (_, i) =>
    Number(mean(values.slice(i * bin, (i + 1) * bin)).toPrecision(4)),
  );
}
