import type { Command } from "commander";
import pc from "picocolors";
import { collect, positive } from "./optionValues.js";
import { verify } from "../stored/index.js";
import { EXIT, print } from "./exit.js";

export function addVerify(program: Command): void {
  program
    .command("verify")
    .description(
      "run finished cells again from scratch and compare every number that must not change",
    )
    .argument("<directory>", "a run directory")
    .option("--cells <n>", "how many cells", positive, 3)
    .option("--cell <id>", "this cell, by the start of its id; repeatable", collect)
    .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
    .addHelpText(
      "after",
      `
Examples:
  quantbench verify results/runs/quick
  quantbench verify results/runs/quick --cell 3f2a91

Exit codes: 0 every bit is equal; 1 something differs.`,
    )
    .action(async (path: string, flags: { cells: number; cell?: string[]; data?: string }) => {
      const { cells, differences } = await verify({
        directory: path,
        cells: flags.cells,
        ids: flags.cell ?? [],
        dataDirectory: flags.data,
        onStage: announceStages(),
      });
      for (const { cell, field, stored, repeated } of differences) {
        print(
          `${pc.red("differs")} ${cell}\n  ${field}: stored ${JSON.stringify(stored)}, repeated ${JSON.stringify(repeated)}`,
        );
      }
      for (const cell of cells) {
        if (!differences.some((difference) => difference.cell === cell))
          print(`${pc.green("equal")}   ${cell}`);
      }
      process.exitCode = differences.length > 0 ? EXIT.failed : EXIT.ok;
    });
}

function announceStages() {
  let last = "";
  return (cell: string, stage: string): void => {
    const now = `${cell}: ${stage}`;
    if (now !== last) process.stderr.write(`${now}\n`);
    last = now;
  };
}
