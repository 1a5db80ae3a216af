import type { Command } from "commander";
import pc from "picocolors";
import { LISTS, listRows } from "./listing.js";
import { print } from "./exit.js";

export function addList(program: Command): void {
  program
    .command("list")
    .description(`list what is registered: ${LISTS.join(", ")}`)
    .argument("<what>", LISTS.join(" | "))
    .option("--json", "everything about each, as JSON", false)
    .addHelpText(
      "after",
      `
Examples:
  quantbench list algorithms
  quantbench list backends --json | jq '.[].name'`,
    )
    .action(async (what: string, { json }: { json: boolean }) => {
      const rows = await listRows(what);
      if (json) {
        print(
          JSON.stringify(
            rows.map(({ details }) => details),
            null,
            2,
          ),
        );
        return;
      }
      const width = Math.max(...rows.map(({ name }) => name.length));
      for (const { name, description } of rows)
        print(`${pc.bold(name.padEnd(width))}  ${description}`);
    });
}
