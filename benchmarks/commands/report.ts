import type { Command } from "commander";
import { inert } from "../../reports/inert.js";
import { renderTerminal } from "../../reports/terminal.js";
import { MARGINS } from "../../reports/decision/standing.js";
import { RunDirectory } from "../../results/store.js";
import { writeReport } from "../stored/index.js";
import { print } from "./exit.js";
import { points } from "./optionValues.js";

interface ReportFlags {
  readonly equivalent: number;
  readonly usable: number;
  readonly out?: string;
}

export function addReport(program: Command): void {
  program
    .command("report")
    .description("render a run's tables and report again from its stored results")
    .argument(
      "<directory>",
      "a run directory, or the s3://BUCKET/PREFIX where machines put results",
    )
    .option("--out <dir>", "with s3://: where the run is copied to, or brought up to date")
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
  quantbench report results/runs/quick --equivalent 0.5 --usable 2
  quantbench report s3://bucket/run --out run   also while machines work on it`,
    )
    .action(async (given: string, flags: ReportFlags) => {
      const directory = new RunDirectory(await local(given, flags.out));
      const { file, results } = await writeReport(directory, {
        equivalence: flags.equivalent / 100,
        usableLoss: flags.usable / 100,
      });
      print(renderTerminal(results));
      process.stderr.write(`report: ${file}\n`);
    });
}

/** The run's directory, into which results are copied from where machines put them. */
async function local(given: string, out: string | undefined): Promise<string> {
  if (!given.startsWith("s3://")) {
    if (out !== undefined) throw new Error("--out goes with s3://BUCKET/PREFIX");
    return given;
  }
  if (out === undefined) throw new Error(`${given} needs --out, a directory to copy it to`);
  const { pull } = await import("../machines/index.js");
  await pull(given, out, (text) => {
    process.stderr.write(`${inert(text)}\n`);
  });
  return out;
}
