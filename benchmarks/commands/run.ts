import { basename, join, resolve } from "node:path";
import { Option, type Command } from "commander";
import pc from "picocolors";
import { ENGINE_NAMES, LOWERING_CHOICES } from "../../pipelines/engine/index.js";
import { inert } from "../../reports/inert.js";
import { compareWithPublished, publishedLines } from "../../reports/published.js";
import { renderTerminal } from "../../reports/terminal.js";
import type { CellResult } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import {
  CELL_PROPERTIES,
  DEFAULT_JOBS,
  duration,
  executePlan,
  makePlan,
  type Plan,
  PROGRESS_MODES,
  type ProgressMode,
  type RunOptions,
} from "../running/index.js";
import { dryRun } from "./dryRun.js";
import { collectOnly, positive, shard, timeSpan } from "./optionValues.js";
import { datasets } from "../datasets/index.js";
import { presetNames, publishedAccuracies, type Shard } from "../planning/index.js";
import { readPreprocessing } from "../inputs/index.js";
import type { Meeting } from "../machines/index.js";
import { loadedPlugins } from "../plugins/index.js";
import { writeReport } from "../stored/index.js";
import { EXIT, print } from "./exit.js";
import { queueOption, storeOption } from "./worker.js";
import { measureCells } from "./sensitivity.js";

interface RunFlags {
  readonly out?: string;
  readonly jobs: number;
  readonly only?: Record<string, string[]>;
  readonly seeds?: number;
  readonly shard?: Shard;
  readonly engine: RunOptions["engine"];
  readonly lowering: RunOptions["lowering"];
  readonly data?: string;
  readonly model?: string;
  readonly output?: string;
  readonly preprocessing?: string;
  readonly time?: number;
  readonly queue?: string;
  readonly store?: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly hangLimit: number;
  readonly progress: ProgressMode;
  readonly quiet: boolean;
}

const EXAMPLES = `
Examples:
  quantbench run quick                          the standard first run, 5 to 6 minutes
  quantbench run quick --only algorithm=lsq     one algorithm on all its backends
  quantbench run my.yaml --dry-run              what would run, and how long it takes
  quantbench run standard --time 30m            the most informative cells that fit
  quantbench run quick --progress json 2>log    one JSON object a line, for programs
  quantbench run --model net.onnx --data images --preprocessing prepare.yaml
                                                post-training quantization of your network

Ctrl-C loses seconds: cells, float trainings and trainings half done are kept.
At its end a preset is compared with what is published for it (results/PRESET/accuracy.csv), digit by digit.
Exit codes: 0 every cell has a result (with --time: those that fit); 1 a cell failed, or a number differs from the
published one that must not; 2 bad input; 130 interrupted.`;

export function addRun(program: Command): void {
  program
    .command("run")
    .description("run a matrix; finished cells are kept, so the same command goes on after a stop")
    .argument("[matrix]", "a preset (quantbench list matrices) or a .yaml file; ptq with --model")
    .option("--out <dir>", "run directory (default: results/runs/<matrix>)")
    .option("--jobs <n>", "processes at a time, one thread each", positive, DEFAULT_JOBS)
    .option(
      "--only <property=values>",
      `only these cells; by ${CELL_PROPERTIES.join(", ")}; repeatable`,
      collectOnly,
    )
    .option("--seeds <n>", "repetitions, instead of the matrix's", positive)
    .option("--shard <i/n>", "only the i-th of n parts; quantbench merge puts them together", shard)
    .addOption(
      new Option(
        "--engine <name>",
        "what trains, instead of the matrix's: portable has the same bits on every machine, onnxruntime is fast",
      )
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
    .option(
      "--model <file>",
      "your own float network, ONNX or TensorFlow Lite, instead of the matrix's models",
    )
    .option(
      "--data <path>",
      "with --model your images: a folder, .npz file or data set name; else where data sets lie that are not embedded (or QUANTBENCH_DATA)",
    )
    .option("--output <name>", "which output of your network has the class scores")
    .option("--preprocessing <file>", "a .yaml file: how your images become the network's input")
    .option("--time <span>", "run the most informative cells that fit, such as 30m", timeSpan)
    .addOption(queueOption())
    .addOption(storeOption())
    .option("--force", "run finished cells again", false)
    .option("--dry-run", "list the cells and estimate the time; run nothing", false)
    .option("--json", "print results as JSON", false)
    .addOption(
      new Option(
        "--progress <mode>",
        "on stderr: redrawn lines on a terminal, lines, json, or none",
      )
        .choices(PROGRESS_MODES)
        .default("auto"),
    )
    .option("-q, --quiet", "no progress: the same as --progress none", false)
    .option("--hang-limit <seconds>", "kill a worker that is silent for so long", positive, 300)
    .addHelpText("after", EXAMPLES)
    .action(async (given: string | undefined, flags: RunFlags) => {
      const { model } = flags;
      const matrix = given ?? (model === undefined ? undefined : "ptq");
      if (matrix === undefined)
        throw new Error(`name a matrix, one of ${(await presetNames()).join(", ")}, or --model`);
      const meeting = meetingOf(flags);
      const options = await optionsOf(matrix, flags, directoryOf(meeting));
      if (flags.dryRun) await dryRun(options, flags.json);
      else process.exitCode = await runAndReport(options, flags.json, meeting);
    });
}

/** @param directory where the run's results are, unless the flags name another */
async function optionsOf(
  matrix: string,
  flags: RunFlags,
  directory: string | undefined,
): Promise<RunOptions> {
  const name = basename(flags.model ?? matrix).replace(/\.(ya?ml|onnx|tflite)$/, "");
  const part = flags.shard && `-${String(flags.shard.index)}-of-${String(flags.shard.of)}`;
  return {
    matrix,
    out: resolve(flags.out ?? directory ?? join("results", "runs", `${name}${part ?? ""}`)),
    jobs: flags.jobs,
    only: flags.only ?? {},
    ...(flags.seeds !== undefined && { seeds: flags.seeds }),
    ...(flags.shard !== undefined && { shard: flags.shard }),
    engine: flags.engine,
    lowering: flags.lowering,
    ...(await dataOptions(flags)),
    ...(flags.time !== undefined && { seconds: flags.time }),
    force: flags.force,
    hangSeconds: flags.hangLimit,
    progress: flags.quiet ? "none" : flags.progress,
    command: commandFor(basename(matrix), flags),
  };
}

/** Where machines meet, if the run is for several. */
function meetingOf({
  queue,
  store,
  time,
  force,
  shard: part,
  dryRun: dry,
}: RunFlags): Meeting | undefined {
  if (queue === undefined) {
    if (store !== undefined) throw new Error("--store goes with --queue; else name --out");
    return undefined;
  }
  if (store === undefined) throw new Error("--queue needs a --store, where results meet");
  if (time !== undefined || force || part !== undefined)
    throw new Error("--time, --force and --shard are for runs on one machine, without --queue");
  return dry ? undefined : { queue, store };
}

/** A store that is a directory is a run directory as well. */
const directoryOf = (meeting: Meeting | undefined): string | undefined =>
  meeting === undefined || meeting.store.startsWith("s3://") ? undefined : meeting.store;

/** What the flags say of models and images. */
async function dataOptions({
  model,
  data,
  output,
  preprocessing,
}: RunFlags): Promise<Pick<RunOptions, "dataDirectory" | "ownModel" | "ownData">> {
  if (model === undefined) {
    if (output !== undefined)
      throw new Error("--output goes with --model; a matrix file names its own");
    if (preprocessing !== undefined)
      throw new Error("--preprocessing goes with --model; a matrix file has its own");
    return data === undefined ? {} : { dataDirectory: data };
  }
  const ownModel = { file: resolve(model), ...(output !== undefined && { output }) };
  if (data === undefined) return { ownModel };
  const isName = datasets.some(({ name }) => name === data);
  const path = isName ? data : resolve(data);
  const prepared = preprocessing === undefined ? undefined : await readPreprocessing(preprocessing);
  return { ownModel, ownData: { path, ...(prepared && { preprocessing: prepared }) } };
}

/** What reproduces the run; leaves out what does not change numbers. */
function commandFor(matrix: string, flags: RunFlags): string {
  const { seeds, engine, lowering, model, data, output, preprocessing } = flags;
  const extra = [
    ...(model === undefined ? [] : [`--model ${basename(model)}`]),
    ...(model === undefined || data === undefined ? [] : [`--data ${basename(data)}`]),
    ...(output === undefined ? [] : [`--output ${output}`]),
    ...(preprocessing === undefined ? [] : [`--preprocessing ${basename(preprocessing)}`]),
    ...(seeds === undefined ? [] : [`--seeds ${String(seeds)}`]),
    ...(engine === "auto" ? [] : [`--engine ${engine}`]),
    ...(lowering === "auto" ? [] : [`--lowering ${lowering}`]),
    ...loadedPlugins().map((path) => `--plugin ${basename(path)}`),
  ];
  return ["quantbench run", matrix, ...extra].join(" ");
}

/** Runs a matrix, prints its table, writes its report; returns the exit code. */
export async function runAndReport(
  options: RunOptions,
  json: boolean,
  meeting?: Meeting,
): Promise<number> {
  const started = performance.now();
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      const workers = meeting === undefined ? "" : "; workers go on";
      process.stderr.write(`\nstopping; finished cells are kept${workers}\n`);
      interrupt.abort();
    });
  }
  const plan = await makePlan(options);
  if (options.progress !== "none")
    for (const note of plan.notes) process.stderr.write(`${inert(note)}\n`);
  const execute = async () => {
    if (meeting === undefined) return executePlan(plan, options, interrupt.signal);
    const { executeOnQueue } = await import("../machines/index.js");
    return executeOnQueue(plan, { ...options, meeting }, interrupt.signal);
  };
  const results = await execute().catch((error: unknown) => {
    if (!interrupt.signal.aborted) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    return undefined;
  });
  if (results === undefined) return EXIT.interrupted;
  const { file } = await writeReport(new RunDirectory(options.out));
  print(json ? JSON.stringify(results, null, 2) : renderTerminal(results));
  tellFailures(results, options);
  if (plan.matrix.sensitivity !== undefined) {
    await measureCells(new RunDirectory(options.out), results, {
      ...{ ...plan.matrix.sensitivity, dataDirectory: options.dataDirectory },
      isQuiet: ["none", "json"].includes(options.progress),
    });
    await writeReport(new RunDirectory(options.out)); // pages show what was measured
  }
  const faulty = await tellPublished(results, options);
  const failed = faulty || results.some(({ state }) => state === "failed");
  if (options.progress !== "none") {
    const took = duration((performance.now() - started) / 1000);
    process.stderr.write(
      `\n${leftOut(plan, results, options)}${String(results.length)} cells in ${took}; report: ${file}\n`,
    );
  }
  return failed ? EXIT.failed : EXIT.ok;
}

const COLORS = {
  fault: pc.red,
  stale: pc.yellow,
  expected: pc.dim,
  equal: pc.green,
  about: pc.bold,
};

/**
 * Compares with what is published for the preset, and says so.
 *
 * @returns whether a number differs that must not
 */
async function tellPublished(
  results: readonly CellResult[],
  { matrix, ownModel, ownData, progress }: RunOptions,
): Promise<boolean> {
  if (ownModel !== undefined || ownData !== undefined) return false;
  const published = await publishedAccuracies(matrix);
  if (published === undefined) return false;
  const comparison = compareWithPublished(published.text, results);
  const faulty = comparison.groups.some(({ kind }) => kind === "fault");
  if (progress === "none" && !faulty) return false;
  process.stderr.write("\n");
  for (const { kind, text } of publishedLines(comparison, published.name))
    process.stderr.write(`${COLORS[kind](inert(text))}\n`);
  return faulty;
}

/** Reasons that progress has not shown already. */
function tellFailures(results: readonly CellResult[], { progress }: RunOptions): void {
  if (progress !== "none") return;
  for (const result of results.filter(({ state }) => state === "failed"))
    process.stderr.write(`${pc.red("failed")} ${inert(describeFailure(result))}\n`);
}

/** What a limit of time kept from being run. */
function leftOut({ cells }: Plan, results: readonly CellResult[], { seconds }: RunOptions): string {
  const known = new Set(results.map(({ id }) => id));
  const missing = cells.filter(({ id }) => !known.has(id)).length;
  if (seconds === undefined || missing === 0) return "";
  return (
    `${duration(seconds)} were enough for ${String(cells.length - missing)} of ${String(cells.length)} cells, ` +
    "the most informative first; the same command without --time goes on\n"
  );
}

const describeFailure = (result: CellResult): string =>
  `${cellName(result)}: ${"reason" in result ? result.reason : ""}`;
