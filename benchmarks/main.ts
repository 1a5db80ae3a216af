#!/usr/bin/env node
import { Command } from "commander";
import pc from "picocolors";
import { inert } from "../reports/inert.js";
import { collect, commands, EXIT } from "./commands/index.js";
import { loadPlugins } from "./plugins/index.js";
import { packageVersion } from "./running/index.js";

const program = new Command("quantbench")
  .description(
    "Runs every quantization algorithm on every deployment backend through one reproducible\n" +
      "pipeline, deploys each result on a real runtime, and writes tables and a report.",
  )
  .version(packageVersion)
  .option("--plugin <file>", "add what a module of yours offers; repeatable", collect)
  .hook("preAction", (command) => loadPlugins(command.opts<{ plugin?: string[] }>().plugin ?? []))
  .showHelpAfterError("(quantbench --help shows what is accepted)")
  // Of its own accord commander ends with 1, which means that a cell failed.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.ok : EXIT.badInput))
  .addHelpText(
    "after",
    `
Examples:
  quantbench run quick                        the standard first run, 5 to 6 minutes
  quantbench init                             a matrix file of your own, with comments
  quantbench try mine --plugin ./mine.js      an algorithm from a file of your own
  quantbench compare results/runs/a results/runs/b
  quantbench table results/runs/quick --format latex

Every command has its own: quantbench run --help

Exit codes: 0 success; 1 a cell failed or a check found something; 2 bad input;
130 interrupted. Results go to stdout, progress to stderr. NO_COLOR is respected.`,
  );

for (const add of commands) add(program);

// A reader that has seen enough, such as head, is no error.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") process.stderr.write(`${pc.red("error:")} cannot print: ${message}\n`);
  process.exit(code === "EPIPE" ? EXIT.ok : EXIT.badInput);
});
// Nobody can be told; what goes on goes on, and the exit code says how it ended.
process.stderr.on("error", () => undefined);

program.parseAsync().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${pc.red("error:")} ${inert(message)}\n`);
  process.exitCode = EXIT.badInput;
});
