import { resolve } from "node:path";
import Table from "cli-table3";
import type { Command } from "commander";
import pc from "picocolors";
import { renderComparison } from "../../reports/comparePage.js";
import { compareRuns, type RunComparison } from "../../reports/compareRuns.js";
import type { ConfigurationDifference } from "../../reports/configuration.js";
import { inert } from "../../reports/inert.js";
import { RunDirectory } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { readStoredRun } from "../stored/index.js";
import { EXIT, print } from "./exit.js";

interface CompareFlags {
  readonly html?: string;
  readonly all: boolean;
  readonly acrossRecipes: boolean;
  readonly json: boolean;
}

export function addCompare(program: Command): void {
  program
    .command("compare")
    .description(
      "say what moved from one run to another beyond noise, what is new and what is gone",
    )
    .argument("<first>", "a run directory, the one before")
    .argument("<second>", "a run directory, the one after")
    .option("--html <file>", "write the comparison as a page too")
    .option("--all", "list what did not move too", false)
    .option("--across-recipes", "compare though data or hyperparameters differ", false)
    .option("--json", "as JSON", false)
    .addHelpText(
      "after",
      `
Examples:
  quantbench compare results/reference results/runs/reference
  quantbench compare before after --html changes.html

Beyond noise is what lies outside the 95 % interval of the difference over all seeds and test
images; with one seed in both runs, over test images only. Runs of different data or
hyperparameters are not compared unless --across-recipes says so.
Exit codes: 0 nothing got worse; 1 a cell is worse beyond noise, lost or gone; 2 bad input.`,
    )
    .action(async (first: string, second: string, flags: CompareFlags) => {
      const [before, after] = [await load(first), await load(second)];
      const comparison = compareRuns(before, after);
      const recipes = comparison.configuration.filter(({ recipe }) => recipe);
      if (recipes.length > 0 && !flags.acrossRecipes)
        throw new Error(
          `the runs follow different recipes (--across-recipes compares them all the same):\n${recipes.map(settingText).join("\n")}`,
        );
      if (flags.html !== undefined)
        await writeAtomically(resolve(flags.html), await renderComparison(comparison));
      if (flags.json) print(JSON.stringify(comparison, null, 2));
      else printComparison(comparison, flags.all);
      process.exitCode = comparison.worse ? EXIT.failed : EXIT.ok;
    });
}

async function load(path: string) {
  const { environment, results } = await readStoredRun(new RunDirectory(path));
  return { title: path, environment, results };
}

const settingText = ({ name, first, second, cells }: ConfigurationDifference): string =>
  inert(`  ${name}: ${first} -> ${second} (${String(cells)} cells)`);

const COLORS = {
  worse: pc.red,
  lost: pc.red,
  better: pc.green,
  gained: pc.green,
  "within noise": pc.dim,
  identical: pc.dim,
} as const;

function printComparison(
  { configuration, environment, changes, appeared, vanished }: RunComparison,
  all: boolean,
): void {
  for (const { name, first, second } of environment)
    print(pc.yellow(inert(`environment: ${name}: ${first} -> ${second}`)));
  for (const setting of configuration) print(pc.yellow(`configuration:${settingText(setting)}`));
  const quiet = new Set(["identical", "within noise"]);
  const shown = changes.filter(({ verdict }) => all || !quiet.has(verdict));
  if (shown.length > 0) {
    const table = new Table({
      head: ["algorithm", "backend", "bits", "network", "first", "second", "difference", "verdict"],
      style: { head: [], border: [] },
    });
    for (const {
      algorithm,
      backend,
      bits,
      model,
      first,
      second,
      difference,
      margin,
      verdict,
    } of shown)
      table.push([
        ...[algorithm, backend, bits, model, first, second].map(inert),
        difference === undefined ? "–" : `${difference} ± ${margin ?? "–"}`,
        COLORS[verdict](verdict),
      ]);
    print(table.toString());
  }
  if (shown.some(({ basis }) => basis === "test images"))
    print(
      pc.dim(
        "With one seed in both, ± is what other test images would change; another seed may change more.",
      ),
    );
  for (const name of vanished) print(pc.red(inert(`gone: ${name}`)));
  for (const name of appeared) print(pc.green(inert(`new: ${name}`)));
  const count = (verdict: string) =>
    String(changes.filter((change) => change.verdict === verdict).length);
  print(
    `${String(changes.length)} in both: ${count("identical")} identical, ${count("within noise")} within noise, ` +
      `${count("better")} better, ${count("worse")} worse, ${count("lost")} lost, ${count("gained")} gained; ` +
      `${String(appeared.length)} new, ${String(vanished.length)} gone`,
  );
}
