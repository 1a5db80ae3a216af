import { stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { Command } from "commander";
import { bytes } from "../../reports/format.js";
import { writeBundle } from "../../results/bundle.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { PACKED_CELLS } from "../../results/packedCells.js";
import { RunDirectory } from "../../results/store.js";
import { packRun, writeReport } from "../stored/index.js";
import { print } from "./exit.js";

export function addBundle(program: Command): void {
  program
    .command("bundle")
    .description("pack a run: into one zip file to send, or into a small directory to commit")
    .argument("<directory>", "a run directory")
    .option("--out <path>", "a .zip file, or else a directory (default: <directory>.zip)")
    .addHelpText(
      "after",
      `
Examples:
  quantbench bundle results/runs/quick
  quantbench bundle results/runs/quick --out quick-epyc.zip
  quantbench bundle results/runs/quick --out results/quick

A zip file has results, exported networks and the report; unpacked, it is a run directory again. A
directory has results alone, tables, environment and one compressed file of cells, 3 to 4 kB each. Both
are taken by every command, and quantbench merge puts them together with others. Checkpoints stay behind.`,
    )
    .action(async (path: string, flags: { out?: string }) => {
      const out = resolve(flags.out ?? `${resolve(path)}.zip`);
      if (extname(out) !== ".zip") {
        const cells = await packRun(new RunDirectory(path), new RunDirectory(out));
        const { size } = await stat(join(out, PACKED_CELLS));
        print(out);
        process.stderr.write(`${String(cells)} cells, ${bytes(size)}\n`);
        return;
      }
      await writeReport(new RunDirectory(path));
      await makeDirectory(dirname(out));
      const files = await writeBundle(path, out, basename(resolve(path)));
      const { size } = await stat(out);
      print(out);
      process.stderr.write(`${String(files.length)} files, ${bytes(size)}\n`);
    });
}
