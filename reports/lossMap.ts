import { heatMapChart, type Square } from "./charts/heatMap.js";
import { mean } from "./statistics/moments.js";
import { pageOf, type AccuracyTable, type Entry } from "./summary.js";

/** A smaller or emptier table is as well read in numbers. */
const FEWEST = { algorithms: 6, backends: 6, share: 0.6 };
/** A loss of so many points has the strongest color. */
const WORST_LOSS = 0.2;

/** The square root shows small losses, which are the ones to choose between. */
export const heatOf = (loss: number): number =>
  Math.sqrt(Math.min(1, Math.max(0, loss) / WORST_LOSS));

/**
 * What each algorithm loses on each backend, in one picture: the algorithms that lose least where
 * they run first, the backends that cost least first.
 *
 * @returns nothing for a table that is too small or too empty for a picture
 */
function lossMap({ model, bits, backends, rows }: AccuracyTable): string {
  const places = rows.flatMap(({ entries }) => entries);
  const asked = places.filter((entry) => entry.asked).length;
  if (rows.length < FEWEST.algorithms || backends.length < FEWEST.backends) return "";
  if (asked < FEWEST.share * places.length) return "";
  const columns = backends.map((backend, i) => ({
    backend,
    i,
    loss: middleLoss(rows.flatMap(({ entries }) => entries[i] ?? [])),
  }));
  const order = columns.toSorted((a, b) => a.loss - b.loss);
  const sorted = rows
    .map((row) => ({ ...row, loss: middleLoss(row.entries) }))
    .toSorted((a, b) => a.loss - b.loss);
  const told = sorted.flatMap(({ algorithm, loss }) =>
    Number.isFinite(loss) ? [`${algorithm} ${(100 * loss).toFixed(1)}`] : [],
  );
  return heatMapChart(
    {
      columns: order.map(({ backend }) => backend),
      rows: sorted.map(({ algorithm, entries }) => ({
        name: algorithm,
        squares: order.map(({ i }) => squareOf(entries[i])),
      })),
    },
    {
      name: `${model}, ${bits}: points lost against float`,
      description: `Means of the losses over the backends: ${told.join(", ")}`,
    },
  );
}

/** The maps of a run's tables that are large enough, and the files that hold them beside the report. */
export const lossMaps = (tables: readonly AccuracyTable[]) =>
  tables.flatMap((table, i) => {
    const svg = lossMap(table);
    return svg === "" ? [] : [{ file: i === 0 ? "map.svg" : `map${String(i + 1)}.svg`, svg }];
  });

/** Colors of the page, for a picture that stands alone, in light and dark. */
const STYLE = `
svg { --ink: #1b1f24; --paper: #ffffff; --band: #f6f8fa; --good: #d6f5dd; --bad: #ffc2b8; font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --paper: #0d1117; --band: #161b22; --good: #12361f; --bad: #7a1f1a; }
}
svg { background: var(--paper); }
text { fill: var(--ink); }
.square { fill: color-mix(in oklab, var(--bad) calc(var(--heat) * 100%), var(--good)); }
.none { fill: var(--band); }
`;

/** A map as a file of its own, for a paper or a README. */
export const standaloneMap = (map: string): string =>
  map.replace(/^<svg([^>]*)>/, `<svg xmlns="http://www.w3.org/2000/svg"$1><style>${STYLE}</style>`);

/** Of what completed; what has nothing comes last. Losses count as drawn, so that one outlier is one outlier. */
function middleLoss(entries: readonly Entry[]): number {
  const losses = entries.flatMap(({ loss }) =>
    loss === undefined ? [] : Math.min(loss, WORST_LOSS),
  );
  return losses.length === 0 ? Infinity : mean(losses);
}

function squareOf(entry: Entry | undefined): Square {
  if (entry === undefined) return { text: "", spoken: "not in the matrix" };
  const { algorithm, backend, accuracy, loss, cells, note } = entry;
  const [first] = cells;
  const place = `${algorithm} on ${backend}`;
  if (loss === undefined || first === undefined)
    return { text: entry.asked ? "×" : "", spoken: `${place}: ${accuracy}` };
  return {
    text: (100 * loss).toFixed(1),
    heat: heatOf(loss),
    spoken: `${place}: ${accuracy} %, ${entry.drop} points${note === undefined ? "" : `; ${note}`}`,
    href: pageOf(first),
  };
}
