import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import Handlebars from "handlebars";
import type { CellResult, CompletedCell, Environment, Run } from "../results/schema.js";
import { bytes, milliseconds, percent, points } from "./format.js";
import {
  accuracyTables,
  algorithmOf,
  bitsOf,
  groupBy,
  isCompleted,
  modelOf,
  stateLabel,
} from "./summary.js";

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
    others: groupedByReason(others),
    coverage: coverageOf(completed),
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

/** Cells without a number that share algorithm, bits and reason, as one row. */
function groupedByReason(others: readonly CellResult[]) {
  const reasonOf = (result: CellResult) => ("reason" in result ? result.reason : "");
  const groups = groupBy(others, (result) => {
    const { algorithm, model, bits } = identity(result);
    return JSON.stringify([algorithm, model, bits, result.state, reasonOf(result)]);
  });
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const list = (of: (result: CellResult) => string) => [...new Set(group.map(of))].join(", ");
    return [
      {
        ...identity(first),
        backend: list(({ config }) => config.backend.name),
        seed: list(({ config }) => String(config.seed)),
        state: stateLabel(first.state),
        reason: reasonOf(first),
      },
    ];
  });
}

/** What is quantized and what is not, once for all cells of the same network where it is the same. */
function coverageOf(completed: readonly CompletedCell[]) {
  const groups = groupBy(completed, (result) =>
    JSON.stringify([modelOf(result), result.config.backend.name, result.sites, result.unquantized]),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const names = [...new Set(group.map(algorithmOf))];
    return [
      {
        title: `${modelOf(first)}, ${first.config.backend.name}, ${bitsOf(first)}`,
        algorithms: names.join(", "),
        count: first.sites.length,
        sites: first.sites.map(({ id, scheme, channelBits }) => ({
          id,
          scheme: channelBits === undefined ? scheme : `${scheme}; ${channelShares(channelBits)}`,
        })),
        unquantized: first.unquantized,
      },
    ];
  });
}

/** "2 bits: 3 channels, 8 bits: 5 channels" */
function channelShares(bits: readonly number[]): string {
  return [...groupBy(bits, String)]
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([width, channels]) => `${width} bits: ${String(channels.length)} channels`)
    .join(", ");
}

function identity(result: CellResult) {
  const { backend, seed } = result.config;
  return {
    id: result.id.slice(0, 12),
    model: modelOf(result),
    algorithm: algorithmOf(result),
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
