import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  groupBy,
  isCompleted,
  missesGate,
  modelOf,
  stateLabel,
  unique,
  weightBytesOf,
} from "./cells.js";
import { energyOf } from "./energy.js";
import { digitsFor, points } from "./format.js";
import { standingOf, type Standing } from "./decision/standing.js";
import { differenceOf } from "./measurements.js";
import { mean, meanMargin } from "./statistics/moments.js";

/** What rows and columns can be. */
export const TABLE_PROPERTIES = {
  algorithm: algorithmOf,
  backend: backendOf,
  model: modelOf,
  bits: bitsOf,
  seed: ({ config }: CellResult) => String(config.seed),
} as const satisfies Record<string, (cell: CellResult) => string>;
export type TableProperty = keyof typeof TABLE_PROPERTIES;

interface Quantity {
  readonly title: string;
  readonly of: (cell: CompletedCell) => number | undefined;
  readonly best: "highest" | "lowest";
  /** Digits after the point where nothing says how uncertain a value is. */
  readonly digits: number;
  /** Of the accuracies, for which differences can be tested. */
  readonly accuracy?: boolean;
}

/** What a table can show. */
export const TABLE_VALUES = {
  deployed: {
    ...{ title: "deployed accuracy, %", best: "highest", digits: 2, accuracy: true },
    of: (cell) => 100 * deviceAccuracy(cell),
  },
  simulated: {
    ...{ title: "simulated accuracy, %", best: "highest", digits: 2 },
    of: ({ accuracy }) => 100 * accuracy.simulated,
  },
  change: {
    ...{
      title: "change of accuracy against float, points",
      best: "highest",
      digits: 2,
      accuracy: true,
    },
    of: (cell) => 100 * (deviceAccuracy(cell) - cell.accuracy.float),
  },
  agreement: {
    ...{ title: "agreement of simulation and deployment, %", best: "highest", digits: 2 },
    of: ({ agreement }) => 100 * agreement.share,
  },
  latency: {
    ...{ title: "median latency, ms", best: "lowest", digits: 3 },
    of: ({ measured }) => measured.latency.quantized.medianMs,
  },
  speedup: {
    ...{ title: "float latency / quantized latency", best: "highest", digits: 2 },
    of: ({ measured: { latency } }) => latency.float.medianMs / latency.quantized.medianMs,
  },
  weights: {
    ...{ title: "weights, KiB", best: "lowest", digits: 1 },
    of: (cell) => weightBytesOf(cell) / 1024,
  },
  stored: {
    ...{ title: "weights in their smallest form, KiB", best: "lowest", digits: 1 },
    of: (cell) => cell.sparsity && Math.min(cell.sparsity.storedBytes, weightBytesOf(cell)) / 1024,
  },
  density: {
    ...{ title: "weights that are not 0, %", best: "lowest", digits: 1 },
    of: ({ sparsity }) => sparsity && (100 * sparsity.nonzero) / sparsity.weights,
  },
  effectiveMacs: {
    ...{
      title: "multiplications by weights that are not 0, millions",
      best: "lowest",
      digits: 2,
    },
    of: ({ sparsity }) => sparsity && sparsity.effectiveMacs / 1e6,
  },
  bitOps: {
    ...{ title: "bit operations, millions", best: "lowest", digits: 1 },
    of: ({ cost }) => cost.quantized.bitOps / 1e6,
  },
  energy: { ...{ title: "modelled energy, µJ", best: "lowest", digits: 2 }, of: energyOf },
} as const satisfies Record<string, Quantity>;
export type TableValue = keyof typeof TABLE_VALUES;

/** How the seeds of a cell become one number. */
export const AGGREGATES = {
  mean,
  median: (values: readonly number[]) => {
    const sorted = values.toSorted((a, b) => a - b);
    const middle = (sorted.length - 1) / 2;
    return mean([sorted[Math.floor(middle)] ?? NaN, sorted[Math.ceil(middle)] ?? NaN]);
  },
  min: (values: readonly number[]) => Math.min(...values),
  max: (values: readonly number[]) => Math.max(...values),
} as const;
export type Aggregate = keyof typeof AGGREGATES;

export interface TableOptions {
  readonly rows: TableProperty;
  readonly columns: TableProperty;
  readonly value: TableValue;
  readonly aggregate: Aggregate;
}

export interface PaperCell {
  /** "87.64 ± 0.12", a state in words, or "–". */
  readonly text: string;
  readonly value?: number;
  readonly margin?: number;
  readonly seeds: number;
  readonly best: boolean;
  /** How it stands to the best of its column, where accuracies are compared. */
  readonly standing?: Standing;
}

export interface PaperTable {
  readonly caption: string;
  readonly rowName: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly cells: readonly PaperCell[] }[];
}

/**
 * Tables of a run's results. What is neither row nor column nor seed is not mixed: each
 * combination of it is a table of its own.
 */
export function paperTables(results: readonly CellResult[], options: TableOptions): PaperTable[] {
  const { rows, columns, value, aggregate } = options;
  const apart = (Object.keys(TABLE_PROPERTIES) as TableProperty[]).filter(
    (property) => property !== rows && property !== columns && property !== "seed",
  );
  const groups = groupBy(results, (cell) =>
    apart.map((property) => TABLE_PROPERTIES[property](cell)).join("; "),
  );
  return [...groups].map(([name, cells]) => {
    const columnNames = unique(cells.map(TABLE_PROPERTIES[columns]));
    const rowNames = unique(cells.map(TABLE_PROPERTIES[rows]));
    const places = groupBy(cells, (cell) =>
      JSON.stringify([TABLE_PROPERTIES[rows](cell), TABLE_PROPERTIES[columns](cell)]),
    );
    const table = rowNames.map((row) =>
      columnNames.map((column) => places.get(JSON.stringify([row, column])) ?? []),
    );
    const best = columnNames.map((_, i) =>
      bestGroup(
        table.map((row) => row[i] ?? []),
        options,
      ),
    );
    return {
      caption: `${name}: ${TABLE_VALUES[value].title}${aggregate === "mean" ? "" : ` (${aggregate} over seeds)`}`,
      rowName: rows,
      columns: columnNames,
      rows: rowNames.map((row, r) => ({
        name: row,
        cells: (table[r] ?? []).map((group, i) => paperCell(group, best[i], options)),
      })),
    };
  });
}

const aggregated = (
  group: readonly CellResult[],
  { value, aggregate }: TableOptions,
): number | undefined => {
  const { of }: Quantity = TABLE_VALUES[value];
  const values = group.filter(isCompleted).flatMap((cell) => of(cell) ?? []);
  return values.length === 0 ? undefined : AGGREGATES[aggregate](values);
};

function bestGroup(
  groups: readonly (readonly CellResult[])[],
  options: TableOptions,
): readonly CellResult[] | undefined {
  const sign = TABLE_VALUES[options.value].best === "highest" ? 1 : -1;
  const known = groups.filter((group) => aggregated(group, options) !== undefined);
  if (known.length < 2) return undefined; // nothing to be better than
  return known.reduce((a, b) =>
    sign * (aggregated(b, options) ?? NaN) > sign * (aggregated(a, options) ?? NaN) ? b : a,
  );
}

function paperCell(
  group: readonly CellResult[],
  best: readonly CellResult[] | undefined,
  options: TableOptions,
): PaperCell {
  const { of, digits, accuracy }: Quantity = TABLE_VALUES[options.value];
  const completed = group.filter(isCompleted);
  const value = aggregated(group, options);
  if (value === undefined) {
    const states = unique(group.map(({ state }) => stateLabel(state))).join(", ");
    return { text: states === "" ? "–" : states, seeds: 0, best: false };
  }
  const margin =
    options.aggregate === "mean"
      ? meanMargin(completed.flatMap((cell) => of(cell) ?? []))
      : undefined;
  const shown = margin === undefined || margin === 0 ? digits : Math.min(digits, digitsFor(margin));
  const number = options.value === "change" ? points(-value / 100, shown) : value.toFixed(shown);
  const missing =
    completed.length < group.length
      ? ` (${String(completed.length)} of ${String(group.length)} seeds)`
      : "";
  const flag = completed.some(missesGate) ? " ⚠" : "";
  const difference =
    accuracy === true && best !== undefined && group !== best
      ? differenceOf(completed, best.filter(isCompleted))
      : undefined;
  return {
    text: (margin === undefined ? number : `${number} ± ${margin.toFixed(shown)}`) + missing + flag,
    value,
    ...(margin !== undefined && { margin }),
    seeds: completed.length,
    best: group === best,
    ...(difference && { standing: standingOf(difference) }),
  };
}
