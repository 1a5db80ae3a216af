#!/usr/bin/env node
import { basename, join, resolve } from "node:path";
import { Command, Option } from "commander";
import pc from "picocolors";
import { ENGINE_NAMES, LOWERING_CHOICES } from "../pipelines/engine/index.js";
import { renderReport } from "../reports/report.js";
import { renderTerminal } from "../reports/terminal.js";
import type { CellResult } from "../results/schema.js";
import { cellName, RunDirectory } from "../results/store.js";
import { check } from "./check.js";
import { examine } from "./doctor.js";
import { packageVersion } from "./environment.js";
import { LISTS, listRows } from "./listing.js";
import { collect, collectOnly, positive } from "./optionValues.js";
import { loadOrDeclare } from "./plan.js";
import { duration } from "./progress.js";
import {
  CELL_PROPERTIES,
  DEFAULT_JOBS,
  estimateSeconds,
  finishedCells,
  jobCost,
  makeJobs,
  makePlan,
  type RunOptions,
} from "./run.js";
import { executePlan } from "./execution.js";
import { verify } from "./verify.js";

/** Documented in the help of the program. */
const EXIT = { ok: 0, failed: 1, badInput: 2, interrupted: 130 } as const;

const program = new Command("quantbench")
  .description(
    "Runs every quantization algorithm on every deployment backend through one reproducible\n" +
      "pipeline, deploys each result on a real runtime, and writes tables and a report.",
  )
  .version(packageVersion)
  .showHelpAfterError("(quantbench --help shows what is accepted)")
  .addHelpText(
    "after",
    `
Examples:
  quantbench run quick                        the standard first run, about 9 minutes
  quantbench run quick --only algorithm=lsq   one algorithm on all backends
  quantbench run my.yaml --dry-run            what would run, and how long it takes
  quantbench verify results/runs/quick        computes 3 cells again, compares every bit

Exit codes: 0 success; 1 a cell failed or a check found something; 2 bad input;
130 interrupted. Results go to stdout, progress to stderr. NO_COLOR is respected.`,
  );

interface RunFlags {
  readonly out?: string;
  readonly jobs: number;
  readonly only: Record<string, string[]>;
  readonly seeds?: number;
  readonly engine: RunOptions["engine"];
  readonly lowering: RunOptions["lowering"];
  readonly data?: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly hangLimit: number;
}

program
  .command("run")
  .description("run a matrix; finished cells are kept, so the same command goes on after a stop")
  .argument("<matrix>", "a preset (quantbench list matrices) or a .yaml file")
  .option("--out <dir>", "run directory (default: results/runs/<matrix>)")
  .option("--jobs <n>", "processes at a time, one thread each", positive, DEFAULT_JOBS)
  .option(
    "--only <property=values>",
    `only these cells; by ${CELL_PROPERTIES.join(", ")}; repeatable`,
    collectOnly,
    {},
  )
  .option("--seeds <n>", "repetitions, instead of the matrix's", positive)
  .addOption(
    new Option("--engine <name>", "what computes")
      .choices(["auto", ...ENGINE_NAMES])
      .default("auto"),
  )
  .addOption(
    new Option(
      "--lowering <name>",
      "graphs for onnxruntime: blocked is fast, standard runs anywhere",
    )
      .choices(LOWERING_CHOICES)
      .default("auto"),
  )
  .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
  .option("--force", "run finished cells again", false)
  .option("--dry-run", "list the cells and estimate the time; run nothing", false)
  .option("--json", "print results as JSON", false)
  .option("--hang-limit <seconds>", "kill a worker that is silent for so long", positive, 300)
  .action(async (matrix: string, flags: RunFlags) => {
    const name = basename(matrix).replace(/\.ya?ml$/, "");
    const options: RunOptions = {
      matrix,
      out: resolve(flags.out ?? join("results", "runs", name)),
      jobs: flags.jobs,
      only: flags.only,
      ...(flags.seeds !== undefined && { seeds: flags.seeds }),
      engine: flags.engine,
      lowering: flags.lowering,
      ...(flags.data !== undefined && { dataDirectory: flags.data }),
      force: flags.force,
      hangSeconds: flags.hangLimit,
      command: commandFor(basename(matrix), flags),
    };
    process.exitCode = flags.dryRun
      ? await dryRun(options, flags.json)
      : await run(options, flags.json);
  });

/** What reproduces the run; leaves out what does not change numbers. */
function commandFor(matrix: string, { seeds, engine, lowering }: RunFlags): string {
  const extra = [
    ...(seeds === undefined ? [] : [`--seeds ${String(seeds)}`]),
    ...(engine === "auto" ? [] : [`--engine ${engine}`]),
    ...(lowering === "auto" ? [] : [`--lowering ${lowering}`]),
  ];
  return ["quantbench run", matrix, ...extra].join(" ");
}

async function run(options: RunOptions, json: boolean): Promise<number> {
  const started = performance.now();
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      process.stderr.write("\nstopping; finished cells are kept\n");
      interrupt.abort();
    });
  }
  const plan = await makePlan(options);
  const results = await executePlan(plan, options, interrupt.signal).catch((error: unknown) => {
    if (!interrupt.signal.aborted) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    return undefined;
  });
  if (results === undefined) return EXIT.interrupted;
  const file = await writeReport(new RunDirectory(options.out));
  print(json ? JSON.stringify(results, null, 2) : renderTerminal(results));
  const failed = results.filter(({ state }) => state === "failed");
  for (const result of failed)
    process.stderr.write(`${pc.red("failed")} ${describeFailure(result)}\n`);
  process.stderr.write(
    `\n${String(results.length)} cells in ${duration((performance.now() - started) / 1000)}; report: ${file}\n`,
  );
  return failed.length > 0 ? EXIT.failed : EXIT.ok;
}

const describeFailure = (result: CellResult): string =>
  `${cellName(result)}: ${"reason" in result ? result.reason : ""}`;

async function dryRun(options: RunOptions, json: boolean): Promise<number> {
  const plan = await makePlan(options, loadOrDeclare);
  const finished = options.force ? new Map<string, CellResult>() : await finishedCells(options.out);
  const pending = plan.cells.filter(({ id }) => !finished.has(id));
  const costs = makeJobs(plan, pending, options.out).map((job) => jobCost(plan, job));
  const seconds = estimateSeconds(costs, options.jobs);
  const cells = plan.cells.map((cell) => ({
    cell: cellName(cell),
    state:
      finished.get(cell.id)?.state ?? (cell.unsupported === undefined ? "to run" : "unsupported"),
  }));
  if (json) {
    print(JSON.stringify({ cells, estimateSeconds: seconds }, null, 2));
    return EXIT.ok;
  }
  for (const { cell, state } of cells) print(`${state.padEnd(13)} ${cell}`);
  print(
    `${String(pending.length)} of ${String(cells.length)} cells to run, about ${duration(seconds)} with ${String(options.jobs)} processes`,
  );
  return EXIT.ok;
}

program
  .command("list")
  .description(`list what is registered: ${LISTS.join(", ")}`)
  .argument("<what>", LISTS.join(" | "))
  .option("--json", "everything about each, as JSON", false)
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

program
  .command("report")
  .description("render a run's tables and report again from its stored results")
  .argument("<directory>", "a run directory")
  .action(async (path: string) => {
    const directory = new RunDirectory(path);
    const results = await orderedResults(directory);
    const file = await writeReport(directory);
    print(renderTerminal(results));
    process.stderr.write(`report: ${file}\n`);
  });

program
  .command("verify")
  .description(
    "run finished cells again from scratch and compare every number that must not change",
  )
  .argument("<directory>", "a run directory")
  .option("--cells <n>", "how many cells", positive, 3)
  .option("--cell <id>", "this cell, by the start of its id; repeatable", collect, [])
  .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
  .action(async (path: string, flags: { cells: number; cell: string[]; data?: string }) => {
    const { cells, differences } = await verify({
      directory: path,
      cells: flags.cells,
      ids: flags.cell,
      dataDirectory: flags.data ?? process.env["QUANTBENCH_DATA"] ?? "data",
      onStage: announceStages(),
    });
    for (const { cell, field, stored, repeated } of differences) {
      print(
        `${pc.red("differs")} ${cell}\n  ${field}: stored ${JSON.stringify(stored)}, repeated ${JSON.stringify(repeated)}`,
      );
    }
    for (const cell of cells) {
      if (!differences.some((difference) => difference.cell === cell))
        print(`${pc.green("equal")}   ${cell}`);
    }
    process.exitCode = differences.length > 0 ? EXIT.failed : EXIT.ok;
  });

program
  .command("check")
  .description(
    "try an algorithm's quantizers on every number format of every backend: levels, range,\n" +
      "order, gradients, equality with the device; says what fails and why",
  )
  .argument("<what>", "algorithm")
  .argument("<name>", "a registered algorithm (quantbench list algorithms), or all")
  .option("--json", "as JSON", false)
  .action(async (what: string, name: string, { json }: { json: boolean }) => {
    process.exitCode = (await check(what, name, json)) ? EXIT.ok : EXIT.failed;
  });

program
  .command("doctor")
  .description("show versions, engines, processor features and data, and what is missing")
  .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
  .option("--json", "as JSON", false)
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

function announceStages() {
  let last = "";
  return (cell: string, stage: string): void => {
    const now = `${cell}: ${stage}`;
    if (now !== last) process.stderr.write(`${now}\n`);
    last = now;
  };
}

async function orderedResults(directory: RunDirectory): Promise<CellResult[]> {
  const [{ cells }, stored] = [await directory.readRun(), await directory.readCells()];
  return cells.flatMap((id) => stored.get(id) ?? []);
}

/** @returns the path of the report */
async function writeReport(directory: RunDirectory): Promise<string> {
  await directory.create(); // a run that was copied or committed may lack the report's folder
  const results = await orderedResults(directory);
  const [run, environment] = [await directory.readRun(), await directory.readEnvironment()];
  await directory.writeTables(results);
  await directory.writeReport(renderReport({ run, environment, results }));
  return join(directory.report, "index.html");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

// A reader that has seen enough, such as head, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(
    `${pc.red("error:")} ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exitCode = EXIT.badInput;
});
