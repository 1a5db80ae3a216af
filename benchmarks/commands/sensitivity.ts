import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { CellResult } from "../../results/schema.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { sealed, unsealed } from "../../results/sealedJson.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { inert } from "../../reports/inert.js";
import {
  contextFor,
  findCell,
  keepsAccuracy,
  sensitivityFile,
  sensitivityOf,
  sensitivityPictureOf,
  sensitivityText,
  sensitivityVerdict,
  type SensitivityReport,
} from "../stored/index.js";
import { EXIT, print } from "./exit.js";
import { points, positive } from "./optionValues.js";

interface SensitivityFlags {
  readonly maxDrop: number;
  readonly images: number;
  readonly out?: string;
  readonly data?: string;
  readonly json: boolean;
}

export function addSensitivity(program: Command): void {
  program
    .command("sensitivity")
    .description(
      "which layers of a cell suffer from quantization, and what keeping the accuracy costs",
    )
    .argument("<directory>", "a run directory")
    .argument("<cell>", "the start of a cell's id, or its name as runs print it")
    .option("--max-drop <points>", "accuracy that may be lost against float", points, 1)
    .option("--images <n>", "training images to judge by", positive, 1000)
    .option("--out <dir>", "where the JSON and the picture go (default: the run's sensitivity/)")
    .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
    .option("--json", "print everything as JSON", false)
    .addHelpText(
      "after",
      `
Examples:
  quantbench sensitivity results/runs/quick 3f2a91
  quantbench sensitivity results/runs/quick 3f2a91 --max-drop 0.5 --images 2000

Each layer is alone quantized and alone in float, its weights and its inputs apart, in simulation and
exported on onnxruntime. Then layers are raised to 8 or 16 bits or left in float, by what each takes off
the loss for its bit operations, until no more than --max-drop is lost; of what that raised, everything is lowered again
that can be. Training images judge; what is chosen is deployed on the whole test set.
Exit codes: 0 the accuracy is kept on the test set; 1 it is not; 2 bad input.`,
    )
    .action(async (path: string, id: string, flags: SensitivityFlags) => {
      const directory = new RunDirectory(path);
      const stored = findCell([...(await directory.readCells()).values()], id);
      const { found, file } = await measureCell(directory, stored, {
        ...{ images: flags.images, maxDrop: flags.maxDrop, dataDirectory: flags.data },
        ...(flags.out !== undefined && { out: flags.out }),
        isQuiet: false,
      });
      print(flags.json ? JSON.stringify(found, null, 2) : inert(sensitivityText(found)));
      if (!flags.json) print(`${file}.json and .svg`);
      process.exitCode = keepsAccuracy(found) ? EXIT.ok : EXIT.failed;
    });
}

interface Measuring {
  readonly maxDrop: number;
  readonly images: number;
  readonly out?: string;
  readonly dataDirectory: string | undefined;
  readonly isQuiet: boolean;
}

/** Measures a stored cell's sensitivities and writes them beside it: JSON and a picture. */
async function measureCell(
  directory: RunDirectory,
  stored: CellResult,
  { maxDrop, images, dataDirectory, isQuiet, out }: Measuring,
) {
  const { isTTY } = process.stderr;
  const { cell, context } = await contextFor(stored, {
    ...{ dataDirectory, stored: directory, directory },
    onStage: (stage) => isQuiet || process.stderr.write(`${stage}\n`),
  });
  const found = await sensitivityOf(
    { cell, context },
    {
      ...{ images, mostLost: maxDrop / 100 },
      onProgress: (what) => isQuiet || !isTTY || process.stderr.write(`\r\u001b[K${what}`),
    },
  );
  if (!isQuiet && isTTY) process.stderr.write("\r\u001b[K");
  const file =
    out === undefined ? sensitivityFile(directory, stored) : join(resolve(out), cellName(stored));
  await makeDirectory(dirname(file));
  await writeAtomically(`${file}.json`, sealed(found));
  await writeAtomically(`${file}.svg`, sensitivityPictureOf(found));
  return { found, file };
}

/** What a matrix asks for: every completed cell's sensitivities, but those that are there already. */
export async function measureCells(
  directory: RunDirectory,
  results: readonly CellResult[],
  measuring: Measuring,
): Promise<void> {
  for (const stored of results.filter(({ state }) => state === "completed")) {
    const path = `${sensitivityFile(directory, stored)}.json`;
    const known = await readFile(path, "utf8").catch(() => undefined);
    const { asked } = (
      known === undefined ? {} : unsealed(path, known)
    ) as Partial<SensitivityReport>;
    if (asked?.images === measuring.images && asked.mostLost === measuring.maxDrop / 100) continue;
    const { found, file } = await measureCell(directory, stored, measuring);
    if (!measuring.isQuiet)
      process.stderr.write(`${inert(`${file}.json: ${sensitivityVerdict(found)}`)}\n`);
  }
}
