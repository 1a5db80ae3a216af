import type { CellConfig, CellResult, CompletedCell } from "../results/schema.js";
import type { SiteResult } from "../results/siteSchema.js";
import { cellName } from "../results/store.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  GATE_TOLERANCE,
  groupBy,
  isAtChance,
  missesGate,
  modelOf,
  stateLabel,
} from "./cells.js";
import { bitAllocationChart } from "./charts/bitAllocation.js";
import { curveChart } from "./charts/curve.js";
import { quantileChart } from "./charts/quantiles.js";
import { escapeMarkup } from "./charts/svg.js";
import { percent, points } from "./format.js";
import { costsOf } from "./costRows.js";
import { deploymentIdentity, kernelParagraph } from "./kernels.js";
import { divergenceOf, integerDivergenceOf } from "./divergence.js";
import { layerRows } from "./layerRows.js";
import { integersPay } from "./integersPay.js";
import { operatorsOf, operatorsSum } from "./operators.js";
import { verifyCommand, type MeasuredSensitivity, type ReportInput } from "./reportInput.js";
import { deviceOf, runtimeRows, worstRuntime } from "./runtimes.js";
import { searchView } from "./searchView.js";
import { flatten } from "./settings.js";
import { shortId } from "./summary.js";

/** What is around a cell. */
export interface Surroundings {
  /** Of the file that holds its layers. */
  readonly group?: number | undefined;
  /** In the order of tables. */
  readonly previous?: CellResult | undefined;
  readonly next?: CellResult | undefined;
}

const neighborView = (cell: CellResult | undefined) =>
  cell && {
    href: `${encodeURIComponent(cellName(cell))}.html`,
    label: `${algorithmOf(cell)} on ${backendOf(cell)}, ${bitsOf(cell)}, seed ${String(cell.config.seed)}`,
  };

/** What cell.hbs shows. */
export function cellView(
  result: CellResult,
  input: ReportInput,
  { group, ...neighbors }: Surroundings = {},
) {
  const { run, files } = input;
  const name = cellName(result);
  const encoded = encodeURIComponent(name);
  const { config, state } = result;
  const completed = result.state === "completed";
  return {
    name,
    previous: neighborView(neighbors.previous),
    next: neighborView(neighbors.next),
    jsonHref: files?.cells.has(name) === true ? `../../cells/${encoded}.json` : undefined,
    onnxHref: files?.models.has(name) === true ? `../../models/${encoded}.onnx` : undefined,
    matrix: files?.matrix === true ? "../../matrix.yaml" : undefined,
    title: run.title,
    group,
    id: result.id,
    algorithm: algorithmOf(result),
    family: run.families?.[config.algorithm.name],
    backend: backendOf(result),
    bits: bitsOf(result),
    model: modelOf(result),
    dataset: config.dataset.name,
    seed: config.seed,
    state: stateLabel(state),
    reason: "reason" in result ? result.reason : undefined,
    completed,
    ...(completed ? completedView(result) : {}),
    sensitivity: sensitivityView(input.sensitivities?.get(name)),
    configurationRows: configurationRows(config),
    command: commandFor(run.command, config),
    verify: `${verifyCommand(input)} --cell ${shortId(result)}`,
  };
}

/** The picture is a document of its own, whose style must not be that of the page. */
const sensitivityView = (measured: MeasuredSensitivity | undefined) =>
  measured && {
    verdict: measured.verdict,
    columns: measured.columns,
    rows: rowsOf(measured.rows),
    picture: `data:image/svg+xml;base64,${Buffer.from(measured.picture).toString("base64")}`,
  };

/** Rows of a table, the first cell its head: by hand, since pages come in thousands. */
const rowsOf = (rows: readonly (readonly string[])[], attributes = ""): string =>
  rows
    .map((cells) => `<tr><th scope="row">${cells.map(escapeMarkup).join(`<td${attributes}>`)}`)
    .join("\n");

const recipes = new Map<string, string>();

/** The configuration as rows; thousands of cells share their hyperparameters. */
function configurationRows({ hyperparameters, ...rest }: CellConfig): string {
  const rows = (value: object) =>
    rowsOf(
      flatten(value).map(({ name, value: text }) => [name, text]),
      ' class="wrap"',
    );
  const key = JSON.stringify(hyperparameters);
  const recipe = recipes.get(key) ?? rows({ hyperparameters });
  recipes.set(key, recipe);
  return `${rows(rest)}\n${recipe}`;
}

/** The run's command, narrowed to what the cell is. */
const commandFor = (command: string, { algorithm, backend, model, bits, seed }: CellConfig) =>
  [
    command,
    `--only algorithm=${algorithm.name}`,
    `--only backend=${backend.name}`,
    `--only model=${model.name}`,
    `--only bits=w${String(bits.weights)}a${String(bits.activations)}`,
    `--only seed=${String(seed)}`,
  ].join(" ");

/** Where training a network that came trained took more than it gave. */
function worseByTraining({ fineTuning }: CompletedCell) {
  if (fineTuning === undefined || fineTuning.trained >= fineTuning.calibrated) return undefined;
  const { calibrated, trained, kept } = fineTuning;
  return { calibrated: percent(calibrated), trained: percent(trained), kept };
}

function completedView(cell: CompletedCell) {
  const { accuracy, testImages, inspection, unquantized, measured } = cell;
  const device = deviceOf(cell);
  return {
    testImages,
    float: percent(accuracy.float),
    simulated: percent(accuracy.simulated),
    deployed: percent(device.accuracy),
    device: device.title,
    drop: points(accuracy.float - device.accuracy),
    agreement: percent(device.agreement.share),
    largest: device.agreement.largestDifference.toPrecision(3),
    missesGate: missesGate(cell),
    gate: percent(GATE_TOLERANCE, 1),
    worseByTraining: worseByTraining(cell),
    atChance: isAtChance(cell),
    worst: worstRuntime(cell).title,
    runtimeRows: runtimeRows(cell)
      .map((row) => row.map(escapeMarkup))
      .map(([name = "", ...rest]) => {
        const reason = rest.pop() ?? "";
        return `<tr><th scope="row">${name}<td>${rest.join("<td>")}<td class="wrap">${reason}`;
      })
      .join("\n"),
    kernels: kernelParagraph(cell),
    deployedBy: deploymentIdentity(cell),
    divergence: divergenceOf(cell),
    integerDivergence: integerDivergenceOf(cell),
    costsRows: rowsOf(
      costsOf(cell).map(({ name, float, quantized, ratio }) => [name, float, quantized, ratio]),
    ),
    charts: chartsOf(cell),
    images: inspection.images,
    layerRows: layerRows(cell),
    search: searchView(cell),
    filterRows: rowsOf(
      (cell.filters ?? []).map(({ layer, given, found }) => [layer, String(given), String(found)]),
    ),
    operatorOfRows: rowsOf((cell.operators ?? []).map(({ layer, operator }) => [layer, operator])),
    sideBySide: `../sideBySide.html#a=${encodeURIComponent(cellName(cell))}`,
    unquantized: [...groupBy(unquantized, ({ reason }) => reason)].map(([reason, tensors]) => ({
      reason,
      tensors: tensors.map(({ tensor }) => tensor).join(", "),
    })),
    operatorsRows: rowsOf(operatorsOf(measured.operators)),
    operatorsSum: operatorsSum(measured.operators),
    integersPay: integersPay(cell),
    speedUp: (measured.latency.float.medianMs / measured.latency.quantized.medianMs).toFixed(2),
  };
}

function chartsOf({ losses, batchAccuracies, measured: { latency }, sites }: CompletedCell) {
  const mixed = mixedBits(sites);
  return [
    ...(losses.length > 1
      ? [
          {
            name: batchAccuracies.length > 0 ? "Loss" : "Reconstruction error",
            svg: curveChart(losses, { name: "Loss by step", label: "loss" }),
          },
        ]
      : []),
    ...(batchAccuracies.length > 1
      ? [
          {
            name: "Accuracy on training batches",
            svg: curveChart(
              batchAccuracies.map((share) => 100 * share),
              { name: "Accuracy by step", label: "accuracy, %" },
            ),
          },
        ]
      : []),
    {
      name: "Latency",
      svg: quantileChart(
        [
          { label: "float", quantiles: latency.float.quantilesMs },
          { label: "quantized", quantiles: latency.quantized.quantilesMs },
        ],
        { name: "Latency", label: "milliseconds; box: middle half, line: 5 to 95 %" },
      ),
    },
    ...(mixed.length > 0
      ? [{ name: "Bits of weights", svg: bitAllocationChart(mixed, "Bits of weights by layer") }]
      : []),
  ];
}

/** Bits of each layer's weights, where an algorithm chose them. */
function mixedBits(sites: readonly SiteResult[]) {
  const layers = sites
    .filter(({ role }) => role === "weight")
    .map(({ id, bitWidth, channelBits = [bitWidth] }) => ({
      layer: id.replace(/\/kernel$/, ""),
      bits: channelBits,
    }));
  // Edges have widths of their own in every network.
  const inner = layers.slice(1, -1).flatMap(({ bits }) => bits);
  return new Set(inner).size > 1 ? layers : [];
}
