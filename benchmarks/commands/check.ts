import type { Command } from "commander";
import { check } from "./checkRegistered.js";
import { EXIT } from "./exit.js";

export function addCheck(program: Command): void {
  program
    .command("check")
    .description(
      "try an algorithm's quantizers on every number format of every backend: levels, range,\n" +
        "order, gradients, equality with the device; says what fails and why",
    )
    .argument("<what>", "algorithm")
    .argument("<name>", "a registered algorithm (quantbench list algorithms), or all")
    .option("--json", "as JSON", false)
    .addHelpText(
      "after",
      `
Examples:
  quantbench check algorithm lsq
  quantbench check algorithm all --json

Exit codes: 0 every check passes; 1 one fails.`,
    )
    .action(async (what: string, name: string, { json }: { json: boolean }) => {
      process.exitCode = (await check(what, name, json)) ? EXIT.ok : EXIT.failed;
    });
}
