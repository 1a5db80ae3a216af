import type { CompletedCell } from "../results/schema.js";
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
  const groups = [
    ...groupBy(completed, (cell) => JSON.stringify([modelOf(cell), backendOf(cell), bitsOf(cell)])),
  ];
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

/** JSON is JavaScript, but for what would end a script within a page, which this never is in. */
const script = (name: string, value: unknown): string =>
  `(globalThis.quantbench ??= {}).${name} = ${JSON.stringify(value)};\n`;

const labelOf = (cell: CompletedCell): string =>
  `${algorithmOf(cell)} on ${backendOf(cell)}, ${bitsOf(cell)}, seed ${String(cell.config.seed)}`;

function detailsOf(cell: CompletedCell) {
  const bits = new Map(cell.sites.map(({ id, bitWidth }) => [id, bitWidth]));
  return {
    accuracy: percent(deviceAccuracy(cell)),
    losses: smoothed(cell.losses),
    steps: cell.losses.length,
    sites: cell.inspection.sites.map((site) => ({
      ...{ id: site.id, bits: bits.get(site.id) ?? null, low: site.low, high: site.high },
      ...{ clipped: site.clipped, sqnr: site.sqnr },
      differing: site.integersDiffering ?? site.differing ?? null,
      histogram: site.histogram ?? null,
    })),
  };
}

function smoothed(values: readonly number[]): number[] {
  const bin = Math.max(1, Math.ceil(values.length / POINTS));
  return Array.from({ length: Math.ceil(values.length / bin) }, (_, i) =>
    Number(mean(values.slice(i * bin, (i + 1) * bin)).toPrecision(4)),
  );
}
