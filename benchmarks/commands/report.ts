import type { Command } from "commander";
import { renderTerminal } from "../../reports/terminal.js";
import { RunDirectory } from "../../results/store.js";
import { writeReport } from "../stored/index.js";
import { print } from "./exit.js";

export function addReport(program: Command): void {
  program
    .command("report")
    .description("render a run's tables and report again from its stored results")
    .argument("<directory>", "a run directory")
    .addHelpText(
      "after",
      `
Example:
  quantbench report results/runs/quick`,
    )
    .action(async (path: string) => {
      const directory = new RunDirectory(path);
      const { file, results } = await writeReport(directory);
      print(renderTerminal(results));
      process.stderr.write(`report: ${file}\n`);
    });
}
