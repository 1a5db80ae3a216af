import { type AccuracyRow, accuracyCsv, readAccuracyCsv } from "../results/csv.js";
import type { CellResult } from "../results/schema.js";
import { percent } from "./format.js";

/** A number of accuracy.csv that is not the published one. */
export interface PublishedDifference {
  readonly cell: string;
  readonly column: string;
  readonly published: string;
  readonly here: string;
}

/** Numbers that differ for the same reason. */
export interface DifferenceGroup {
  readonly why: string;
  /** "fault" is what must not be; "stale" says nothing, since something else was computed. */
  readonly kind: "expected" | "stale" | "fault";
  readonly differences: readonly PublishedDifference[];
}

export interface PublishedComparison {
  /** What trained the published networks. */
  readonly engines: readonly string[];
  readonly equal: number;
  readonly compared: number;
  readonly groups: readonly DifferenceGroup[];
  /** Cells that only one side has. */
  readonly onlyHere: number;
  readonly onlyPublished: number;
}

/** What names a cell whatever computed it. */
const CELL = [
  ...["model", "width", "dataset", "algorithm", "backend"],
  ...["weight_bits", "activation_bits", "variant", "seed"],
];
/** What says how a cell was computed, or in words why it has no number. */
const ABOUT = new Set([...CELL, "id", "engine", "reason"]);
/** What native onnxruntime decides, whose kernels differ between processors. */
const NATIVE =
  /^(?:deployed_accuracy|agreement|largest_logit_difference|changed_by_\w+|kernels_saturate|onnxruntime(?!Web)\w*_accuracy)$/;
/** The engine whose bits are the same everywhere. */
const PORTABLE = /^portable /;

/**
 * Compares a run's numbers with published ones, digit by digit.
 *
 * @param published the text of an accuracy.csv
 * @throws Error when it is no such table
 */
export function compareWithPublished(
  published: string,
  results: readonly CellResult[],
): PublishedComparison {
  const theirs = byCell(readAccuracyCsv(published));
  const ours = byCell(readAccuracyCsv(accuracyCsv(results)));
  const groups = new Map<string, DifferenceGroup & { differences: PublishedDifference[] }>();
  let [compared, equal] = [0, 0];
  for (const [cell, row] of ours) {
    const other = theirs.get(cell);
    if (other === undefined) continue;
    for (const column of new Set([...Object.keys(other), ...Object.keys(row)])) {
      const [before = "", here = ""] = [other[column], row[column]];
      if (ABOUT.has(column) || (before === "" && here === "")) continue;
      compared += 1;
      if (before === here) {
        equal += 1;
        continue;
      }
      const reason = reasonFor(column, other, row);
      const group = groups.get(reason.why) ?? { ...reason, differences: [] };
      groups.set(reason.why, group);
      group.differences.push({ cell, column, published: before, here });
    }
  }
  const shared = [...ours.keys()].filter((cell) => theirs.has(cell)).length;
  return {
    engines: [...new Set([...theirs.values()].map(({ engine = "" }) => engine))],
    ...{ equal, compared },
    groups: [...groups.values()],
    onlyHere: ours.size - shared,
    onlyPublished: theirs.size - shared,
  };
}

function byCell(rows: readonly AccuracyRow[]): Map<string, AccuracyRow> {
  const named = rows.map((row) => {
    const missing = CELL.find((column) => row[column] === undefined);
    if (missing !== undefined) throw new Error(`a table of accuracies has no column "${missing}"`);
    return [nameOf(row), row] as const;
  });
  return new Map(named);
}

function nameOf(row: AccuracyRow): string {
  const { model, width, algorithm, backend, weight_bits, activation_bits, variant, seed } = row;
  const varied = variant === "" ? "" : `, ${variant ?? ""}`;
  return `${algorithm ?? ""}${varied} on ${backend ?? ""}, W${weight_bits ?? ""}A${activation_bits ?? ""}, ${model ?? ""}, width ${width ?? ""}, seed ${seed ?? ""}`;
}

/** Why a number is not the published one. */
function reasonFor(
  column: string,
  published: AccuracyRow,
  here: AccuracyRow,
): Pick<DifferenceGroup, "why" | "kind"> {
  const [theirs = "", ours = ""] = [published["engine"], here["engine"]];
  if (here["state"] === "failed") return { kind: "stale", why: "the cell failed here" };
  if (theirs !== ours && !(PORTABLE.test(theirs) && PORTABLE.test(ours)))
    return { kind: "expected", why: `${ours} trained here, ${theirs} what is published` };
  if (published["id"] !== here["id"])
    return {
      kind: "stale",
      why: "the published numbers are of another version of the algorithm, the engine, the pipeline or the recipe",
    };
  if (!PORTABLE.test(ours))
    return { kind: "expected", why: `bits of ${ours} depend on the processor's instructions` };
  if (NATIVE.test(column)) {
    const saturates = here["kernels_saturate"] === "yes" || published["kernels_saturate"] === "yes";
    return {
      kind: "expected",
      why: saturates
        ? "on native onnxruntime, whose 8-bit kernels saturate on one of the two processors"
        : "on native onnxruntime, whose kernels depend on the processor's instructions",
    };
  }
  return { kind: "fault", why: `${ours} and WebAssembly must give the same on every machine` };
}

/** More differences of one reason than this are counted, not listed. */
const MOST_LISTED = 6;

export interface ComparisonLine {
  readonly kind: DifferenceGroup["kind"] | "equal" | "about";
  readonly text: string;
}

/**
 * The comparison in lines for a terminal.
 *
 * @param source where the published numbers lie
 */
export function publishedLines(
  { engines, equal, compared, groups, onlyHere, onlyPublished }: PublishedComparison,
  source: string,
): ComparisonLine[] {
  const asTheyMust = groups.every(({ kind }) => kind === "expected");
  const all = equal === compared ? ", digit for digit" : ", among them all that must be";
  const cells = (count: number, what: string): ComparisonLine[] =>
    count === 0 ? [] : [{ kind: "about", text: `  ${String(count)} cells ${what}` }];
  return [
    { kind: "about", text: `Published numbers (${source}, trained by ${engines.join(", ")}):` },
    {
      kind: "equal",
      text: `  ${String(equal)} of ${String(compared)} are equal${asTheyMust && equal > 0 ? all : ""}`,
    },
    ...groups.flatMap(({ why, kind, differences }) =>
      [`  ${String(differences.length)} differ: ${why}`, ...listed(differences)].map((text) => ({
        ...{ kind, text },
      })),
    ),
    ...cells(onlyHere, "are not among the published"),
    ...cells(onlyPublished, "that are published were not run"),
  ];
}

/** Differences one by one; of many, how far apart accuracies are. */
function listed(differences: readonly PublishedDifference[]): string[] {
  if (differences.length <= MOST_LISTED)
    return differences.map(
      ({ cell, column, published, here }) =>
        `    ${cell}: ${column.replaceAll("_", " ")} ${shown(column, published)}, here ${shown(column, here)}`,
    );
  const apart = differences
    .filter(({ column, published, here }) => isShare(column) && published !== "" && here !== "")
    .map((difference) => ({
      ...difference,
      points: Math.abs(Number(difference.here) - Number(difference.published)),
    }))
    .toSorted((a, b) => b.points - a.points);
  const [most] = apart;
  if (most === undefined) return [];
  const median = apart[Math.floor(apart.length / 2)]?.points ?? 0;
  return [
    `    accuracies are ${percent(median)} points apart in the median; most: ${most.cell}: ${most.column.replaceAll("_", " ")} ${shown(most.column, most.published)}, here ${shown(most.column, most.here)}`,
  ];
}

const isShare = (column: string): boolean => column.endsWith("_accuracy");

/** A number as tables show it; hashes by their beginning. */
function shown(column: string, value: string): string {
  if (value === "") return "none";
  if (isShare(column)) return `${percent(Number(value))} %`;
  return column === "weight_hash" ? value.slice(0, 12) : value;
}
