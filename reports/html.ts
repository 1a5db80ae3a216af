import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import Handlebars from "handlebars";
import type { CellResult, CompletedCell, Environment, Run } from "../results/schema.js";
import { bytes, milliseconds, percent, points } from "./format.js";
import { accuracyTables, bitsOf, groupBy, isCompleted, modelOf, stateLabel } from "./summary.js";

export interface ReportInput {
  readonly run: Run;
  readonly environment: Environment;
  /** In the order of tables. */
  readonly results: readonly CellResult[];
}

/** Below this share of equal predictions, the report explains. */
const EXPECTED_AGREEMENT = 0.995;

const template = createRequire(import.meta.url).resolve("#package/reports/report.hbs");

/** The report as one HTML file that needs nothing else. The same results give the same bytes. */
export async function renderHtml(input: ReportInput): Promise<string> {
  const render = Handlebars.compile(await readFile(template, "utf8"), { strict: true });
  return render(viewOf(input));
}

function viewOf({ run, environment, results }: ReportInput) {
  const completed = results.filter(isCompleted);
  const others = results.filter((result) => !isCompleted(result));
  const disagreeing = completed.filter(({ agreement }) => agreement.share < EXPECTED_AGREEMENT);
  const counts = groupBy(results, ({ state }) => stateLabel(state));
  return {
    title: run.title,
    command: run.command,
    name: run.name,
    missing: run.cells.length - results.length,
    counts: [...counts].map(([state, members]) => ({ state, count: members.length })),
    tables: accuracyTables(results),
    cells: completed.map(cellView),
    disagreeing: disagreeing.map((result) => ({
      ...identity(result),
      share: percent(result.agreement.share),
      largest: result.agreement.largestDifference.toPrecision(3),
    })),
    expectedAgreement: percent(EXPECTED_AGREEMENT, 1),
    others: others.map((result) => ({
      ...identity(result),
      state: stateLabel(result.state),
      reason: "reason" in result ? result.reason : "",
    })),
    hyperparameters: flatten(results[0]?.config.hyperparameters ?? {}),
    dataset: results[0]?.config.dataset ?? { name: "", checksum: "" },
    engine: results[0]?.config.engine ?? { name: "", version: "" },
    deviations: Object.entries(run.deviations)
      .filter(([, list]) => list.length > 0)
      .map(([name, list]) => ({ name, list })),
    notes: Object.entries(run.notes)
      .filter(([, list]) => list.length > 0)
      .map(([name, list]) => ({ name, list })),
    environment: environmentRows(environment),
  };
}

function identity(result: CellResult) {
  const { algorithm, backend, seed } = result.config;
  return {
    id: result.id.slice(0, 12),
    model: modelOf(result),
    algorithm: algorithm.name,
    backend: backend.name,
    bits: bitsOf(result),
    seed,
  };
}

function cellView(result: CompletedCell) {
  const { accuracy, agreement, measured, size, losses, sites } = result;
  const { float, quantized } = measured.latency;
  const count = (role: "weight" | "activation") =>
    sites.filter((site) => site.role === role).length;
  return {
    ...identity(result),
    float: percent(accuracy.float),
    simulated: percent(accuracy.simulated),
    deployed: percent(accuracy.deployed),
    drop: points(accuracy.float - accuracy.deployed),
    agreement: percent(agreement.share),
    largest: agreement.largestDifference.toPrecision(2),
    floatLatency: milliseconds(float.medianMs),
    quantizedLatency: milliseconds(quantized.medianMs),
    speedup: (float.medianMs / quantized.medianMs).toFixed(2),
    latencyDetail: `median of ${String(quantized.samples)} runs, median absolute deviation ${milliseconds(quantized.madMs)}`,
    weights: bytes(size.weightBytes),
    file: bytes(size.quantizedFileBytes),
    floatFile: bytes(size.floatFileBytes),
    finalLoss: losses.at(-1)?.toFixed(3) ?? "–",
    quantizers: `${String(count("weight"))} + ${String(count("activation"))}`,
  };
}

/** Nested settings as rows: "pretrain epochs" -> 5. */
function flatten(value: object, prefix = ""): { name: string; value: string }[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const name = `${prefix}${key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`;
    if (typeof inner === "object" && inner !== null) return flatten(inner, `${name}: `);
    return [{ name, value: String(inner) }];
  });
}

function environmentRows(environment: Environment) {
  const { engines, memoryBytes, cpuFeatures, commit, ...rest } = environment;
  return [
    ...flatten(rest),
    { name: "memory", value: bytes(memoryBytes) },
    { name: "cpu features", value: cpuFeatures.join(", ") },
    ...Object.entries(engines).map(([name, version]) => ({
      name: `engine ${name}`,
      value: version,
    })),
    { name: "commit", value: commit ?? "unknown" },
  ];
}
