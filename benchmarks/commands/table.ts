import { inert } from "../../reports/inert.js";
import { resolve } from "node:path";
import { Option, type Command } from "commander";
import {
  AGGREGATES,
  paperTables,
  TABLE_PROPERTIES,
  TABLE_VALUES,
  type TableOptions,
} from "../../reports/paperTable.js";
import { TABLE_FORMATS, type TableFormat } from "../../reports/tableFormats.js";
import { RunDirectory } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { collectOnly } from "./optionValues.js";
import { filterCells } from "../running/index.js";
import { readStoredRun } from "../stored/index.js";
import { print } from "./exit.js";

interface TableFlags extends TableOptions {
  readonly format: TableFormat;
  readonly only?: Record<string, string[]>;
  readonly out?: string;
}

const choice = (flags: string, description: string, choices: object, standard: string) =>
  new Option(flags, description).choices(Object.keys(choices)).default(standard);

export function addTable(program: Command): void {
  program
    .command("table")
    .description("print a run's results as tables for a paper or a spreadsheet")
    .argument("<directory>", "a run directory")
    .addOption(choice("--rows <property>", "what the rows are", TABLE_PROPERTIES, "algorithm"))
    .addOption(choice("--columns <property>", "what the columns are", TABLE_PROPERTIES, "backend"))
    .addOption(choice("--value <name>", "what the cells hold", TABLE_VALUES, "deployed"))
    .addOption(choice("--aggregate <name>", "one number of several seeds", AGGREGATES, "mean"))
    .addOption(choice("--format <name>", "how to write it", TABLE_FORMATS, "markdown"))
    .option("--only <property=values>", "only these cells; repeatable", collectOnly)
    .option("--out <file>", "write to a file instead of the terminal")
    .addHelpText(
      "after",
      `
Examples:
  quantbench table results/reference --format latex --out table.tex
  quantbench table results/runs/quick --value latency --rows backend --columns bits
  quantbench table results/reference --only model=resnet8 --only bits=w4a4

Means carry half of their 95 % interval over seeds. Bold is the best of a column; ≈ marks what is
equivalent to it within a point, ? what may be. What is neither row, column nor seed makes tables of its own.`,
    )
    .action(async (path: string, { format, only, out, ...options }: TableFlags) => {
      if (options.rows === options.columns)
        throw new Error(`rows and columns are both "${options.rows}"; choose two`);
      const { run, results } = await readStoredRun(new RunDirectory(path));
      const missing = run.cells.length - results.length;
      if (missing > 0)
        process.stderr.write(
          `${path} lacks ${String(missing)} of the ${String(run.cells.length)} cells that it lists\n`,
        );
      const tables = paperTables(filterCells(results, only ?? {}), options);
      const text = inert(TABLE_FORMATS[format](tables));
      if (out === undefined) print(text);
      else await writeAtomically(resolve(out), `${text}\n`);
    });
}
