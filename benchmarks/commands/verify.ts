import Table from "cli-table3";
import { Option, type Command } from "commander";
import pc from "picocolors";
import { ENGINE_NAMES, type EngineName } from "../../pipelines/engine/index.js";
import { storedFloats, trainAgain } from "../checkpoints/index.js";
import { lookup } from "../lookup.js";
import { collect, positive } from "./optionValues.js";
import { crossCheck, distanceOf, isTooFar, verify, type CrossCheck } from "../stored/index.js";
import { EXIT, print } from "./exit.js";

interface VerifyFlags {
  readonly cells: number;
  readonly cell?: string[];
  readonly engine?: EngineName;
  readonly float?: string;
  readonly data?: string;
}

export function addVerify(program: Command): void {
  program
    .command("verify")
    .description(
      "run finished cells again from scratch and compare every number that must not change",
    )
    .argument("[directory]", "a run directory")
    .option("--cells <n>", "how many cells", positive, 3)
    .option("--cell <id>", "this cell, by the start of its id or its name; repeatable", collect)
    .addOption(
      new Option(
        "--engine <name>",
        "compute on another engine and show how far apart the two are",
      ).choices(ENGINE_NAMES),
    )
    .option("--float <name>", "train this stored float network again (quantbench list checkpoints)")
    .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
    .addHelpText(
      "after",
      `
Examples:
  quantbench verify results/runs/quick
  quantbench verify results/runs/quick --cell 3f2a91
  quantbench verify results/runs/quick --cells 1 --engine tfjs-node
  quantbench verify --float resnet8-w8-seed0

Exit codes: 0 every bit is equal; 1 something differs. With --engine: 0 rounding explains every
distance that has a limit; 1 one is too far.`,
    )
    .action(async (path: string | undefined, flags: VerifyFlags) => {
      if (flags.float !== undefined) {
        process.exitCode = (await verifyFloat(flags.float)) ? EXIT.ok : EXIT.failed;
        return;
      }
      if (path === undefined)
        throw new Error("verify needs a run directory, or --float with a name");
      const options = {
        directory: path,
        cells: flags.cells,
        ids: flags.cell ?? [],
        dataDirectory: flags.data,
        onStage: announceStages(),
      };
      if (flags.engine !== undefined) {
        const checks = await crossCheck({ ...options, engine: flags.engine });
        checks.forEach(printCrossCheck);
        const tooFar = checks.some(({ distances }) => distances.some(isTooFar));
        process.exitCode = tooFar ? EXIT.failed : EXIT.ok;
        return;
      }
      const { cells, otherKernels, differences } = await verify(options);
      for (const { cell, field, stored, repeated } of differences) {
        print(
          `${pc.red("differs")} ${cell}\n  ${field}: stored ${JSON.stringify(stored)}, repeated ${JSON.stringify(repeated)}`,
        );
      }
      for (const cell of cells) {
        if (!differences.some((difference) => difference.cell === cell))
          print(`${pc.green("equal")}   ${cell}`);
      }
      for (const { cell, fields, why } of otherKernels)
        print(
          `${pc.yellow("note")}    ${cell}: what onnxruntime's native kernels gave was not compared (${String(fields)} numbers differ): ${why}`,
        );
      process.exitCode = differences.length > 0 ? EXIT.failed : EXIT.ok;
    });
}

/** Trains a stored float network again. @returns whether every bit is equal */
async function verifyFloat(name: string): Promise<boolean> {
  const stored = lookup("stored float network", name, storedFloats());
  let announced = 0;
  const { equal, accuracy } = await trainAgain(stored, ({ step, steps, imagesPerSecond = 0 }) => {
    if (performance.now() - announced < PROGRESS_MS && step < steps) return;
    announced = performance.now();
    const part = ((100 * step) / steps).toFixed(0);
    process.stderr.write(`${name}: ${part} %, ${imagesPerSecond.toFixed(0)} images/s\n`);
  });
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  print(
    equal
      ? `${pc.green("equal")}   ${name}: every bit, ${percent(accuracy)}`
      : `${pc.red("differs")} ${name}: stored ${percent(stored.accuracy)}, trained again ${percent(accuracy)}`,
  );
  return equal;
}

const PROGRESS_MS = 10_000;

function announceStages() {
  let last = "";
  return (cell: string, stage: string): void => {
    const now = `${cell}: ${stage}`;
    if (now !== last) process.stderr.write(`${now}\n`);
    last = now;
  };
}

function printCrossCheck({ cell, engines, distances }: CrossCheck): void {
  const table = new Table({
    style: { head: [], border: [] },
    head: ["", "stored", "other engine", "distance", "limit", ""],
    colAligns: ["left", "right", "right", "right", "right", "left"],
  });
  for (const distance of distances) {
    const { what, stored, other, limit } = distance;
    const verdict =
      limit === undefined ? "" : isTooFar(distance) ? pc.red("too far") : pc.green("ok");
    table.push([
      ...[what, stored.toPrecision(6), other.toPrecision(6), distanceOf(distance).toExponential(1)],
      ...[limit?.toExponential(1) ?? "", verdict],
    ]);
  }
  print(`${cell}\nstored: ${engines.stored}; other engine: ${engines.other}\n${table.toString()}`);
  print(
    "Before the first step only rounding differs. Later steps drift apart, as if the seed were another;\n" +
      "so do accuracies of what is trained: compare their distance with that of two seeds.",
  );
}
