import { resolve } from "node:path";
import type { Command } from "commander";
import { inert } from "../../reports/inert.js";
import { renderTerminal } from "../../reports/terminal.js";
import { RunDirectory } from "../../results/store.js";
import { mergeRuns, writeReport } from "../stored/index.js";
import { print } from "./exit.js";

export function addMerge(program: Command): void {
  program
    .command("merge")
    .description("put runs together that have different cells of one comparison")
    .argument("<directories...>", "run directories")
    .requiredOption("--out <dir>", "directory of the merged run")
    .addHelpText(
      "after",
      `
Examples:
  quantbench run standard --only seed=0 --out seed0      on one machine
  quantbench run standard --only seed=1,2 --out others   on another
  quantbench merge seed0 others --out standard

Cells that several runs have must have the same numbers, and all must come from the same data and
training. Latencies stay those of the machine where each cell was computed.`,
    )
    .action(async (paths: string[], { out }: { out: string }) => {
      const target = resolve(out);
      const { cells, shared, environments } = await mergeRuns(paths, target);
      const { results, file } = await writeReport(new RunDirectory(target));
      print(renderTerminal(results));
      for (const difference of environments)
        process.stderr.write(`environment: ${inert(difference)}\n`);
      process.stderr.write(
        `\n${String(cells)} cells of ${String(paths.length)} runs, ${String(shared)} of them in several; report: ${file}\n`,
      );
    });
}
