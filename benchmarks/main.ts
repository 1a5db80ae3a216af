#!/usr/bin/env node
import { Command } from "commander";
import pc from "picocolors";
import { inert } from "../reports/terminal.js";
import { addCheck } from "./commands/check.js";
import { addCompare } from "./commands/compare.js";
import { addCompletion } from "./commands/completion.js";
import { addDoctor } from "./commands/doctor.js";
import { EXIT } from "./commands/exit.js";
import { addExport } from "./commands/export.js";
import { addInit } from "./commands/init.js";
import { addList } from "./commands/list.js";
import { addNew } from "./commands/new.js";
import { addReport } from "./commands/report.js";
import { addRun } from "./commands/run.js";
import { addTable } from "./commands/table.js";
import { addVerify } from "./commands/verify.js";
import { packageVersion } from "./running/environment.js";

const program = new Command("quantbench")
  .description(
    "Runs every quantization algorithm on every deployment backend through one reproducible\n" +
      "pipeline, deploys each result on a real runtime, and writes tables and a report.",
  )
  .version(packageVersion)
  .showHelpAfterError("(quantbench --help shows what is accepted)")
  .addHelpText(
    "after",
    `
Examples:
  quantbench run quick                        the standard first run, about 9 minutes
  quantbench init                             a matrix file of your own, with comments
  quantbench compare results/runs/a results/runs/b
  quantbench table results/runs/quick --format latex

Every command has its own: quantbench run --help

Exit codes: 0 success; 1 a cell failed or a check found something; 2 bad input;
130 interrupted. Results go to stdout, progress to stderr. NO_COLOR is respected.`,
  );

for (const add of [
  addRun,
  addInit,
  addList,
  addReport,
  addTable,
  addCompare,
  addVerify,
  addExport,
  addCheck,
  addNew,
  addDoctor,
  addCompletion,
])
  add(program);

// A reader that has seen enough, such as head, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

program.parseAsync().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${pc.red("error:")} ${inert(message)}\n`);
  process.exitCode = EXIT.badInput;
});
