import type { Command } from "commander";
import pc from "picocolors";
import { examine } from "./examine.js";
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
        for (const { name, ok, detail, required } of checks) {
          const mark = ok ? pc.green("ok     ") : required ? pc.red("missing") : pc.dim("absent ");
          print(`${mark} ${name.padEnd(24)} ${detail}`);
        }
      }
      process.exitCode = checks.some(({ ok, required }) => required && !ok) ? EXIT.failed : EXIT.ok;
    });
}
