import type { Command } from "commander";
import { renderTerminal } from "../../reports/terminal.js";
import { MARGINS } from "../../reports/decision/standing.js";
import { RunDirectory } from "../../results/store.js";
import { writeReport } from "../stored/index.js";
import { print } from "./exit.js";
import { points } from "./optionValues.js";

export function addReport(program: Command): void {
  program
    .command("report")
    .description("render a run's tables and report again from its stored results")
    .argument("<directory>", "a run directory")
    .option(
      "--equivalent <points>",
      "so much less accuracy than the best does not matter",
      points,
      100 * MARGINS.equivalence,
    )
    .option(
      "--usable <points>",
      "what may lose more to its float network is not recommended",
      points,
      100 * MARGINS.usableLoss,
    )
    .addHelpText(
      "after",
      `
Examples:
  quantbench report results/runs/quick
  quantbench report results/runs/quick --equivalent 0.5 --usable 2`,
    )
    .action(async (path: string, flags: { equivalent: number; usable: number }) => {
      const directory = new RunDirectory(path);
      const { file, results } = await writeReport(directory, {
        equivalence: flags.equivalent / 100,
        usableLoss: flags.usable / 100,
      });
      print(renderTerminal(results));
      process.stderr.write(`report: ${file}\n`);
    });
}
