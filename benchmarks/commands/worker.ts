import { Option, type Command } from "commander";
import { inert } from "../../reports/inert.js";
import { DEFAULT_JOBS } from "../running/index.js";
import { EXIT } from "./exit.js";
import { positive } from "./optionValues.js";

interface WorkerFlags {
  readonly queue: string;
  readonly store: string;
  readonly jobs: number;
  readonly data?: string;
  readonly scratch?: string;
  readonly exitWhenDone: boolean;
  readonly hangLimit: number;
}

export const queueOption = (): Option =>
  new Option(
    "--queue <url>",
    "Redis or Valkey server: redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], rediss:// for TLS",
  );

export const storeOption = (): Option =>
  new Option(
    "--store <place>",
    "where results meet: a directory that all machines share, or s3://BUCKET/PREFIX",
  );

export function addWorker(program: Command): void {
  program
    .command("worker")
    .description(
      "compute cells of runs on a queue, beside other machines; start as many as you like",
    )
    .addOption(queueOption().makeOptionMandatory())
    .addOption(storeOption().makeOptionMandatory())
    .option("--jobs <n>", "cells at a time, one thread each", positive, DEFAULT_JOBS)
    .option("--data <path>", "where data sets lie that are not embedded, or a run's own images")
    .option("--scratch <dir>", "where files lie until they are stored (default: in your cache)")
    .option("--exit-when-done", "end when there is nothing left to do, instead of waiting", false)
    .option("--hang-limit <seconds>", "kill a process that is silent for so long", positive, 300)
    .addHelpText(
      "after",
      `
Example:
  quantbench worker --queue redis://head --store /shared/run

It takes cells of runs that were put there by the same version of quantbench, with the same data and plugins, and says
why it takes others not. A worker that is killed loses no finished cell; what it had begun runs elsewhere within a minute.
Ctrl-C gives its cells back at once. A password is better in the environment,
QUANTBENCH_QUEUE_PASSWORD, than on the command line. README: what is trusted.`,
    )
    .action(async (flags: WorkerFlags) => {
      const { work } = await import("../machines/index.js");
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const)
        process.once(signal, () => {
          process.stderr.write("\nstopping; what is not finished goes back to the queue\n");
          stop.abort();
        });
      const { jobs, exitWhenDone, hangLimit, ...rest } = flags;
      const computed = await work(
        {
          ...rest,
          ...{ jobs, exitWhenDone, hangSeconds: hangLimit },
          onNote: (text) => {
            process.stderr.write(`${inert(text)}\n`);
          },
        },
        stop.signal,
      );
      process.stderr.write(`${String(computed)} cells computed\n`);
      if (stop.signal.aborted) process.exitCode = EXIT.interrupted;
    });
}
