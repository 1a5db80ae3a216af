import { expect, test } from "vitest";
import { inspectEngines, loadEngine, type Engine } from "../pipelines/engine/index.js";

const reports = await inspectEngines();

/** Every engine that is installed, each of its lowerings by itself, under a title for tests. */
export const installedEngines: readonly (readonly [title: string, engine: Engine])[] = (
  await Promise.all(
    reports.map(async ({ name, available }) => {
      if (!available) return [];
      if (name !== "onnxruntime") return [[name, await loadEngine(name)] as const];
      const both = [await loadEngine(name, "standard"), await loadEngine(name, "auto")];
      const different = new Map(both.map((engine) => [engine.lowering, engine]));
      return [...different.values()].map(
        (engine) => [`${name} (${engine.lowering ?? ""})`, engine] as const,
      );
    }),
  )
).flat();

/** tfjs-node, where it is installed. */
export const tfjsNode = installedEngines.find(([name]) => name === "tfjs-node")?.[1];

const absenceIsMeant =
  process.env["CI"] === undefined || process.env["QUANTBENCH_WITHOUT_TFJS_NODE"] !== undefined;

/** Says which engines the file did not test; in CI their absence fails, unless it is meant. */
export function reportMissingEngines(): void {
  for (const report of reports) {
    if (report.available) continue;
    const { name, reason } = report;
    test(`engine ${name} is installed`, ({ skip }) => {
      skip(absenceIsMeant, reason);
      expect.fail(reason);
    });
  }
}
