import type { Command } from "commander";
import { inert } from "../../reports/inert.js";
import { duration } from "../running/index.js";
import type { QueueStatus, RunStatus } from "../machines/index.js";
import { print } from "./exit.js";
import { queueOption } from "./worker.js";

export function addStatus(program: Command): void {
  program
    .command("status")
    .description("what the runs on a queue have done, what runs where, and how long it takes")
    .addOption(queueOption().makeOptionMandatory())
    .option("--json", "print it as JSON", false)
    .addHelpText(
      "after",
      `
Example:
  quantbench status --queue redis://head`,
    )
    .action(async ({ queue, json }: { queue: string; json: boolean }) => {
      const { readStatus } = await import("../machines/index.js");
      const status = await readStatus(queue, (text) => {
        process.stderr.write(`${inert(text)}\n`);
      });
      print(json ? JSON.stringify(status, null, 2) : inertLines(describe(status)));
    });
}

const inertLines = (lines: readonly string[]): string => lines.map(inert).join("\n");

function describe({ server, runs, workers }: QueueStatus): string[] {
  const running = workers.flatMap(({ running: jobs }) => jobs).length;
  return [
    ...(runs.length === 0 ? [`there are no runs at ${server}`] : runs.flatMap(describeRun)),
    `${String(workers.length)} workers, ${String(running)} cells or trainings running`,
    ...workers.flatMap(({ host, cores, cpu, running: jobs }) => [
      `  ${host}, ${String(cores)} cores, ${cpu}`,
      ...jobs.map(({ label, stage }) => `    ${label}: ${stage}`),
    ]),
  ];
}

function describeRun({ queue, announcement, tally, counts, secondsLeft }: RunStatus): string[] {
  const { title, cells, code } = announcement;
  const { done, failed, seconds, earlier, equal, different } = tally;
  const pace = seconds > 0 ? `, ${((3600 * (done - earlier)) / seconds).toFixed(1)} an hour` : "";
  const left =
    done >= cells
      ? ""
      : Number.isFinite(secondsLeft)
        ? `, about ${duration(secondsLeft)} left`
        : "";
  return [
    `${queue}: ${title} (version ${code})`,
    `  ${String(done)} of ${String(cells)} cells done${failed > 0 ? `, ${String(failed)} of them failed` : ""}${pace}${left}`,
    `  jobs: ${String(counts.active)} taken, ${String(counts.waiting)} ready, ${String(counts.held)} wait for a training`,
    ...(equal + different === 0
      ? []
      : [
          `  came twice: ${String(equal)} with the same bits, ${String(different)} with OTHER bits`,
        ]),
  ];
}
