import Table from "cli-table3";
import pc from "picocolors";
import type { CellResult } from "../results/schema.js";
import { accuracyTables, type Entry } from "./summary.js";

/** Accuracy tables as text for a terminal; colors only where the terminal has them. */
export function renderTerminal(results: readonly CellResult[]): string {
  return accuracyTables(results)
    .map(({ model, bits, floatAccuracy, backends, rows }) => {
      const table = new Table({
        head: ["algorithm", ...backends],
        style: { head: [], border: [] },
        colAligns: ["left", ...backends.map(() => "right" as const)],
      });
      for (const { algorithm, entries } of rows) table.push([algorithm, ...entries.map(colored)]);
      const title = `${model}, ${bits}: deployed accuracy in percent (float: ${floatAccuracy})`;
      return `${pc.bold(title)}\n${table.toString()}`;
    })
    .join("\n\n");
}

function colored({ accuracy, drop, severity }: Entry): string {
  const text = drop === "" ? accuracy : `${accuracy} (${drop})`;
  switch (severity) {
    case "none":
      return pc.green(text);
    case "small":
      return pc.yellow(text);
    case "large":
    case "lost":
      return pc.red(text);
    case undefined:
      return pc.dim(text);
    default:
      return severity satisfies never;
  }
}
