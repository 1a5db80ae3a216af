import type { AccuracyTable } from "./summary.js";
import { groupBy } from "./cells.js";

/** A table with a larger share of places that are not in the matrix says little for its size. */
const MOST_EMPTY = 0.4;

/**
 * The table, or where most of it would be dashes one for each group of backends that have the same
 * algorithms: together they hold every number, and no place that was never asked for.
 */
export function splitSparse(table: AccuracyTable): AccuracyTable[] {
  const { rows, backends } = table;
  const asked = (row: number, column: number) => rows[row]?.entries[column]?.asked === true;
  const empty = rows.reduce(
    (sum, _, row) => sum + backends.filter((__, column) => !asked(row, column)).length,
    0,
  );
  if (empty <= MOST_EMPTY * rows.length * backends.length) return [table];
  const columns = backends.map((_, column) => column);
  const groups = groupBy(columns, (column) =>
    rows.map((_, row) => (asked(row, column) ? "1" : "0")).join(""),
  );
  return [...groups.values()].map((group) => ({
    ...table,
    backends: group.flatMap((column) => backends[column] ?? []),
    rows: rows
      .filter((_, row) => asked(row, group[0] ?? -1))
      .map((row) => ({ ...row, entries: group.flatMap((column) => row.entries[column] ?? []) })),
  }));
}
