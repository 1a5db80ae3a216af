import pc from "picocolors";
import type { CellResult } from "../results/schema.js";
import { inert } from "./inert.js";
import { accuracyTables, type AccuracyTable, type Entry } from "./summary.js";
import { renderTextTable, type TextCell, wrapped } from "./textTable.js";

const NARROWEST = 40;
/** Where nobody says how wide the output may be. */
const USUAL_WIDTH = 80;

/** Characters in a line of the terminal, or as COLUMNS says where the output is none. */
export function terminalWidth(out: Pick<NodeJS.WriteStream, "columns"> = process.stdout): number {
  // Typed as a number, but absent where the output is a file or a pipe; 0 on some terminals.
  const columns = (out.columns as number | undefined) ?? Number(process.env["COLUMNS"]);
  return columns > 0 ? Math.max(NARROWEST, columns) : USUAL_WIDTH;
}

/**
 * Accuracy tables as text for a terminal; colors only where the terminal has them.
 *
 * @param width of a line, in characters
 */
export function renderTerminal(results: readonly CellResult[], width = terminalWidth()): string {
  return accuracyTables(results)
    .map((table) => renderTable(table, width))
    .join("\n\n");
}

function renderTable(
  { model, bits, floatAccuracy, backends, rows }: AccuracyTable,
  width: number,
): string {
  const title = `${inert(model)}, ${bits}: deployed accuracy in percent (float: ${floatAccuracy})`;
  const lines = renderTextTable(
    {
      head: ["algorithm", ...backends.map(inert)],
      rows: rows.map(({ algorithm, entries }) => [
        { text: inert(algorithm) },
        ...entries.map(textCell),
      ]),
      isEmpty: ({ text }) => text === NOTHING,
    },
    width,
  );
  const notes = rows
    .flatMap(({ entries }) => entries)
    .flatMap(({ algorithm, backend, note }) =>
      note === undefined ? [] : wrapped(inert(`* ${algorithm} on ${backend}: ${note}`), width),
    );
  return [
    ...wrapped(title, width).map(pc.bold),
    ...lines,
    ...notes.map((line) => pc.yellow(line)),
  ].join("\n");
}

/** What an entry says that is not in the matrix. */
const NOTHING = "–";

function textCell({ accuracy, drop, loss, note }: Entry): TextCell {
  const mark = note === undefined ? "" : " *";
  const text = drop === "" ? accuracy : `${accuracy} (${drop})${mark}`;
  if (loss === undefined) return { text, color: pc.dim };
  return { text, color: loss < 0.01 ? pc.green : loss < 0.03 ? pc.yellow : pc.red };
}
