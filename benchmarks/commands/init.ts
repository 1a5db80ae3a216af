import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Command } from "commander";
import { print } from "./exit.js";

const { resolve } = createRequire(import.meta.url);

export function addInit(program: Command): void {
  program
    .command("init")
    .description("write a matrix file with comments, to start your own comparison from")
    .argument("[file]", "where to", "quantbench.yaml")
    .addHelpText(
      "after",
      `
Example:
  quantbench init my.yaml && quantbench run my.yaml --dry-run`,
    )
    .action(async (file: string) => {
      const text = await readFile(resolve("#package/benchmarks/templates/matrix.yaml"), "utf8");
      await writeNew(file, text);
      print(`wrote ${file}; quantbench run ${file} --dry-run shows what it would run`);
    });
}

/** @throws Error when there is such a file already: nobody's work is written over */
export async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: "wx" }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Error(`${path} exists already; remove it, or choose another name`, { cause: error });
  });
}
