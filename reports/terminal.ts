import Table from "cli-table3";
import pc from "picocolors";
import type { CellResult } from "../results/schema.js";
import { accuracyTables, type Entry } from "./summary.js";

/**
 * Text that cannot command a terminal: control characters, which start its escape sequences, are
 * shown instead of sent.
 */
export const inert = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) =>
    character === "\n" ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );

/** Accuracy tables as text for a terminal; colors only where the terminal has them. */
export function renderTerminal(results: readonly CellResult[]): string {
  return accuracyTables(results)
    .map(({ model, bits, floatAccuracy, backends, rows }) => {
      const table = new Table({
        head: ["algorithm", ...backends.map(inert)],
        style: { head: [], border: [] },
        colAligns: ["left", ...backends.map(() => "right" as const)],
      });
      for (const { algorithm, entries } of rows)
        table.push([inert(algorithm), ...entries.map(colored)]);
      const notes = rows
        .flatMap(({ entries }) => entries)
        .flatMap(({ algorithm, backend, note }) =>
          note === undefined ? [] : [pc.yellow(inert(`* ${algorithm} on ${backend}: ${note}`))],
        );
      const title = `${inert(model)}, ${bits}: deployed accuracy in percent (float: ${floatAccuracy})`;
      return [pc.bold(title), table.toString(), ...notes].join("\n");
    })
    .join("\n\n");
}

function colored({ accuracy, drop, loss, note }: Entry): string {
  const mark = note === undefined ? "" : " *";
  const text = drop === "" ? accuracy : `${accuracy} (${drop})${mark}`;
  if (loss === undefined) return pc.dim(text);
  if (loss < 0.01) return pc.green(text);
  return loss < 0.03 ? pc.yellow(text) : pc.red(text);
}
