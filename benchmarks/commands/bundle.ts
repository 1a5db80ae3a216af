import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Command } from "commander";
import { bytes } from "../../reports/format.js";
import { writeBundle } from "../../results/bundle.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { RunDirectory } from "../../results/store.js";
import { writeReport } from "../stored/index.js";
import { print } from "./exit.js";

export function addBundle(program: Command): void {
  program
    .command("bundle")
    .description("pack a run into one zip file to send: results, exported networks, report")
    .argument("<directory>", "a run directory")
    .option("--out <file>", "where to (default: <directory>.zip)")
    .addHelpText(
      "after",
      `
Examples:
  quantbench bundle results/runs/quick
  quantbench bundle results/runs/quick --out quick-epyc.zip

Checkpoints stay behind. Unpacked, it is a run directory again: every command takes it, and
quantbench merge puts it together with others.`,
    )
    .action(async (path: string, flags: { out?: string }) => {
      await writeReport(new RunDirectory(path));
      const name = basename(resolve(path));
      const file = resolve(flags.out ?? `${resolve(path)}.zip`);
      await makeDirectory(dirname(file));
      const files = await writeBundle(path, file, name);
      const { size } = await stat(file);
      print(file);
      process.stderr.write(`${String(files.length)} files, ${bytes(size)}\n`);
    });
}
