import { heatMapChart, type Square } from "./charts/heatMap.js";
import { mean } from "./statistics/moments.js";
import { groupBy } from "./cells.js";
import { pageOf, type AccuracyTable, type Entry } from "./summary.js";

/** A smaller or emptier table is as well read in numbers. */
const FEWEST = { algorithms: 6, backends: 6, share: 0.6 };
/** A loss of so many points has the strongest color. */
const WORST_LOSS = 0.2;

/** The square root shows small losses, which are the ones to choose between. */
export const heatOf = (loss: number): number =>
  Math.sqrt(Math.min(1, Math.max(0, loss) / WORST_LOSS));

function isLarge({ rows, backends }: AccuracyTable): boolean {
  const places = rows.flatMap(({ entries }) => entries);
  const asked = places.filter((entry) => entry.asked).length;
  if (rows.length < FEWEST.algorithms || backends.length < FEWEST.backends) return false;
  return asked >= FEWEST.share * places.length;
}

/** A place of the map; its bits where they are not those of the map. */
interface Place extends Entry {
  readonly bits?: string;
}

/** A table whose places without a number are those of the other ones, where these have one. */
function filled(table: AccuracyTable, others: readonly AccuracyTable[]) {
  const elsewhere = others.flatMap(({ bits, rows }) =>
    rows.flatMap(({ entries }) => entries.map((entry): Place => ({ ...entry, bits }))),
  );
  const rows = table.rows.map(({ algorithm, entries }) => ({
    algorithm,
    entries: entries.map((entry): Place => {
      if (entry.loss !== undefined || !entry.asked) return entry;
      const at = ({ algorithm: name, backend, loss }: Place) =>
        name === algorithm && backend === entry.backend && loss !== undefined;
      return elsewhere.find(at) ?? entry;
    }),
  }));
  return { ...table, rows };
}

/** Which bits stand where, besides those of the map: "W8A8 (nnie, onnxQnn)". */
function otherBits(rows: readonly { readonly entries: readonly Place[] }[]): string {
  const places = rows.flatMap(({ entries }) => entries).filter((place) => place.bits !== undefined);
  return [...groupBy(places, ({ bits = "" }) => bits)]
    .map(([bits, of]) => `${bits} (${[...new Set(of.map(({ backend }) => backend))].join(", ")})`)
    .join(", ");
}

/**
 * What each algorithm loses on each backend, in one picture: the algorithms that lose least where
 * they run first, the backends that cost least first.
 */
function lossMap({ model, bits, backends, rows }: ReturnType<typeof filled>): string {
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

/**
 * The maps of a run's tables that are large enough, and the files that hold them beside the report. What cannot
 * have a map's bits stands in it with those that it has, from tables that are too small for a map.
 */
export const lossMaps = (tables: readonly AccuracyTable[]) =>
  tables.flatMap((table, i) => {
    if (!isLarge(table)) return [];
    const others = tables.filter((one) => one.model === table.model && !isLarge(one));
    const map = filled(table, others);
    const file = i === 0 ? "map.svg" : `map${String(i + 1)}.svg`;
    return [{ file, svg: lossMap(map), bits: table.bits, otherBits: otherBits(map.rows) }];
  });

/** Colors of the page, for a picture that stands alone, in light and dark. */
const STYLE = `
svg { --ink: #1b1f24; --paper: #ffffff; --band: #f6f8fa; --good: #d6f5dd; --bad: #ffc2b8; font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --paper: #0d1117; --band: #161b22; --good: #12361f; --bad: #7a1f1a; }
}
svg { background: var(--paper); }
text { fill: var(--ink); }
.other { font-style: italic; }
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

function squareOf(entry: Place | undefined): Square {
  if (entry === undefined) return { text: "", spoken: "not in the matrix" };
  const { algorithm, backend, accuracy, loss, cells, note, bits } = entry;
  const [first] = cells;
  const place = `${algorithm} on ${backend}${bits === undefined ? "" : `, ${bits}`}`;
  if (loss === undefined || first === undefined)
    return { text: entry.asked ? "×" : "", spoken: `${place}: ${accuracy}` };
  return {
    text: (100 * loss).toFixed(1).replace(/^-(?=0\.0$)/, ""),
    heat: heatOf(loss),
    isOther: bits !== undefined,
    spoken: `${place}: ${accuracy} %, ${entry.drop} points${note === undefined ? "" : `; ${note}`}`,
    href: pageOf(first),
  };
}
