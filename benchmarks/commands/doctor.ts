import type { Command } from "commander";
import pc from "picocolors";
import { examine, type Check } from "./examine.js";
import { packageVersion } from "../running/index.js";
import { EXIT, print } from "./exit.js";

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("show versions, engines, processor features and data, and what is missing")
    .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
    .option("--json", "as JSON", false)
    .addHelpText(
      "after",
      `
Exit codes: 0 everything that a run needs is there; 1 something is missing.`,
    )
    .action(async (flags: { data?: string; json: boolean }) => {
      const checks = await examine(flags.data ?? process.env["QUANTBENCH_DATA"] ?? "data");
      if (flags.json) print(JSON.stringify({ quantbench: packageVersion, checks }, null, 2));
      else {
        print(`quantbench ${packageVersion}`);
        for (const check of checks)
          print(`${markOf(check)} ${check.name.padEnd(24)} ${check.detail}`);
      }
      process.exitCode = checks.some(({ ok, required }) => required && !ok) ? EXIT.failed : EXIT.ok;
    });
}

function markOf({ ok, required, caution }: Check): string {
  if (ok) return pc.green("ok     ");
  if (required) return pc.red("missing");
  return caution ? pc.yellow("caution") : pc.dim("absent ");
}
