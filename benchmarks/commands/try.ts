import { join, resolve } from "node:path";
import type { Command } from "commander";
import { DEFAULT_JOBS } from "../running/index.js";
import { positive } from "./optionValues.js";
import { runAndReport } from "./run.js";

interface TryFlags {
  readonly out?: string;
  readonly jobs: number;
  readonly seeds?: number;
  readonly json: boolean;
}

export function addTry(program: Command): void {
  program
    .command("try")
    .description("run one algorithm beside min-max and LSQ, or one backend, in about a minute")
    .argument("<name>", "an algorithm or a backend (quantbench list algorithms)")
    .option("--out <dir>", "run directory (default: results/runs/try-<name>)")
    .option("--jobs <n>", "processes at a time, one thread each", positive, DEFAULT_JOBS)
    .option("--seeds <n>", "repetitions", positive)
    .option("--json", "print results as JSON", false)
    .addHelpText(
      "after",
      `
Examples:
  quantbench try myRounding
  quantbench try mine --plugin ./mine.js

The numbers are those of a short training on a part of the data: they show that it works, and roughly
how well. Cells are computed again when the algorithm computes something else than before.
Exit codes: 0 every cell has a result; 1 a cell failed; 2 bad input; 130 interrupted.`,
    )
    .action(async (name: string, { out, jobs, seeds, json }: TryFlags) => {
      process.exitCode = await runAndReport(
        {
          ...{ matrix: "try", tried: name, jobs, only: {} },
          out: resolve(out ?? join("results", "runs", `try-${name}`)),
          ...(seeds !== undefined && { seeds }),
          ...{ engine: "auto", lowering: "auto", force: false, hangSeconds: 300, progress: "auto" },
          command: `quantbench try ${name}`,
        },
        json,
      );
    });
}
