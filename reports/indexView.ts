import type { CellResult, CompletedCell, Environment, Run } from "../results/schema.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  GATE_TOLERANCE,
  groupBy,
  isAtChance,
  isCompleted,
  lowestAgreement,
  missesGate,
  modelOf,
  stateLabel,
  unique,
} from "./cells.js";
import { cellRow, COLUMNS, PAGE_SIZE } from "./cellRows.js";
import { bitCharts, dotPlotOf } from "./accuracyCharts.js";
import { costCharts } from "./costCharts.js";
import { decisionRules, decisionViews } from "./decision/decisionView.js";
import { ENERGY_MODEL_TITLE } from "./energy.js";
import { bytes, percent, points } from "./format.js";
import { verifyCommand, type ReportInput } from "./reportInput.js";
import { kernelNote } from "./kernels.js";
import { heatOf, lossMaps } from "./lossMap.js";
import { FIRST_RUNTIME } from "../results/device.js";
import { firstDifferingLayer, runtimeSummary, worstRuntime } from "./runtimes.js";
import { flatten } from "./settings.js";
import { searchesView } from "./searchesView.js";
import { splitSparse } from "./splitTables.js";
import { statisticsView } from "./statisticsView.js";
import { trainingCurves } from "./trainingCurves.js";
import { accuracyTables, pageOf, shortId, type AccuracyTable, type Entry } from "./summary.js";

/** Below this share of equal predictions, the report explains. */
const EXPECTED_AGREEMENT = 0.995;
/** What report.hbs shows. */
export function indexView(input: ReportInput) {
  const { run, environment, results, files, margins } = input;
  const completed = results.filter(isCompleted);
  const others = results.filter((result) => !isCompleted(result));
  const flagged = completed.filter(
    (cell) => missesGate(cell) || lowestAgreement(cell) < EXPECTED_AGREEMENT,
  );
  const counts = groupBy(results, ({ state }) => stateLabel(state));
  const tables = accuracyTables(results, margins);
  const maps = lossMaps(tables);
  const charts = costCharts(completed);
  const decisions = decisionViews(results, margins);
  const searches = searchesView(results, margins);
  const runtimes = runtimeSummary(completed);
  const engine = results[0]?.config.engine;
  const atChance = completed.filter(isAtChance).length;
  return {
    title: run.title,
    command: run.command,
    matrix: files?.matrix === true ? "../matrix.yaml" : undefined,
    verify: verifyCommand(input),
    missing: run.cells.length - results.length,
    counts: [...counts].map(([state, members]) => ({ state, count: members.length })),
    sections: sections({ maps, decisions, charts, searches, flagged, runtimes }),
    maps,
    decisions,
    rules: decisionRules(margins),
    tables: tables.flatMap(splitSparse).map((table) => tableView(table, familiesOf(input))),
    bitCharts: bitCharts(completed),
    curves: trainingCurves(completed).length,
    sideBySide: completed.length > 1,
    charts,
    searches,
    energyModel: ENERGY_MODEL_TITLE,
    ...statisticsView(results, margins),
    gate: points(-GATE_TOLERANCE, 1).slice(1),
    columns: COLUMNS.map(([name]) => name),
    pageSize: PAGE_SIZE,
    completed: completed.length,
    cellRows: completed.slice(0, PAGE_SIZE).map(cellRow).join(""),
    laterRows: completed.slice(PAGE_SIZE).map(cellRow).join(""),
    expectedAgreement: percent(EXPECTED_AGREEMENT, 1),
    runtimes,
    flagged: flagged.map(flaggedView),
    recipes: recipesOf(results),
    atChance: atChance === 0 ? undefined : atChance,
    others: groupedByReason(others),
    deviations: listsOf(run.deviations),
    notes: listsOf(run.notes),
    engine:
      engine === undefined
        ? "none"
        : [
            `${engine.name} ${String(engine.version)}`,
            ...(engine.lowering ? [engine.lowering] : []),
          ].join("; "),
    checksum: results[0]?.config.dataset.checksum ?? "",
    environment: [...environmentRows(environment), ...otherEnvironments(run, environment)],
  };
}

function sections({
  maps,
  decisions,
  charts,
  searches,
  flagged,
  runtimes,
}: {
  readonly maps: readonly unknown[];
  readonly decisions: readonly unknown[];
  readonly charts: readonly unknown[];
  readonly searches: unknown;
  readonly flagged: readonly unknown[];
  readonly runtimes: readonly unknown[];
}) {
  return [
    ...(maps.length > 0 ? [{ id: "map", name: "Map" }] : []),
    ...(decisions.length > 0 ? [{ id: "choices", name: "What to use" }] : []),
    { id: "accuracy", name: "Accuracy" },
    ...(charts.length > 0 ? [{ id: "cost", name: "Cost" }] : []),
    ...(searches === undefined ? [] : [{ id: "searches", name: "Searches" }]),
    { id: "statistics", name: "Which differ" },
    { id: "cells", name: "Every cell" },
    ...(runtimes.length > 0 ? [{ id: "runtimes", name: "Runtimes" }] : []),
    ...(flagged.length > 0 ? [{ id: "gate", name: "Deployment" }] : []),
    { id: "audit", name: "Alignment audit" },
    { id: "reproduce", name: "Reproduce" },
  ];
}

/** The family of each row's algorithm, where a run has several families. */
function familiesOf({ run: { families = {} }, results }: ReportInput): ReadonlyMap<string, string> {
  if (new Set(Object.values(families)).size < 2) return new Map();
  return new Map(
    results.map((result) => [algorithmOf(result), families[result.config.algorithm.name] ?? ""]),
  );
}

function tableView(table: AccuracyTable, families: ReadonlyMap<string, string>) {
  const { model, bits, floatAccuracy, backends, rows } = table;
  return {
    ...{ model, bits, floatAccuracy, backends },
    narrow: backends.length === 1,
    plot: dotPlotOf(table),
    rows: rows.map(({ algorithm, entries }) => ({
      algorithm,
      family: families.get(algorithm),
      entries: entries.map(entryView),
    })),
  };
}

function entryView({ accuracy, drop, cells, best, standing, loss = 0, note }: Entry) {
  const [first] = cells;
  return {
    ...{ accuracy, drop, best, note },
    equivalent: standing === "equivalent",
    undecided: standing === "undecided",
    heat: heatOf(loss).toFixed(2),
    link: first === undefined ? undefined : pageOf(first),
    cells: cells.map(shortId).join(" "),
  };
}

function flaggedView(cell: CompletedCell) {
  const { name, title, accuracy, agreement } = worstRuntime(cell);
  return {
    ...identity(cell),
    link: pageOf(cell),
    simulated: percent(cell.accuracy.simulated),
    runtime: title,
    deployed: percent(accuracy),
    lost: points(cell.accuracy.simulated - accuracy),
    share: percent(agreement.share),
    largest: agreement.largestDifference.toPrecision(3),
    layer: firstDifferingLayer(cell, name) ?? "–",
    reason: name === FIRST_RUNTIME ? (kernelNote([cell]) ?? "") : "",
  };
}

function identity(result: CellResult) {
  return {
    model: modelOf(result),
    algorithm: algorithmOf(result),
    backend: backendOf(result),
    bits: bitsOf(result),
    seed: result.config.seed,
  };
}

/** The hyperparameters; several where cells differ, which studies do. */
function recipesOf(results: readonly CellResult[]) {
  const groups = [
    ...groupBy(results, ({ config }) => JSON.stringify(config.hyperparameters)).values(),
  ];
  return groups.flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const settings = flatten(first.config.hyperparameters);
    return [{ settings, count: group.length, only: groups.length === 1 }];
  });
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
    const list = (of: (result: CellResult) => string) => unique(group.map(of)).join(", ");
    return [
      {
        ...identity(first),
        backend: list(backendOf),
        seed: list(({ config }) => String(config.seed)),
        state: stateLabel(first.state),
        reason: reasonOf(first),
      },
    ];
  });
}

/** Reasons by who has them; what several share is said once, with all of their names. */
function listsOf(lists: Readonly<Record<string, readonly string[]>>) {
  const reasons = Object.entries(lists).flatMap(([name, list]) =>
    list.map((reason) => ({ name, reason })),
  );
  const byReason = groupBy(reasons, ({ reason }) => reason);
  const named = [...byReason].map(([reason, members]) => ({
    reason,
    name: unique(members.map(({ name }) => name)).join(", "),
  }));
  return [...groupBy(named, ({ name }) => name)].map(([name, members]) => ({
    name,
    list: members.map(({ reason }) => reason),
  }));
}

/** Of a merged run: how many cells were computed elsewhere, and what was different there. */
function otherEnvironments({ parts = [] }: Run, first: Environment) {
  const known = new Set(environmentRows(first).map((row) => JSON.stringify(row)));
  return parts.flatMap(({ environment, cells }) =>
    environmentRows(environment)
      .filter((row) => !known.has(JSON.stringify(row)))
      .map(({ name, value }) => ({ name: `${name}, of ${String(cells.length)} cells`, value })),
  );
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
