import Table from "cli-table3";
import type { Behavior } from "../../pipelines/deploy/index.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { sensitivityPicture } from "../../reports/charts/sensitivityPicture.js";
import { paretoFront } from "../../reports/pareto.js";
import type { MeasuredSensitivity } from "../../reports/reportInput.js";
import { losesAtMost, type Raised } from "./accuracyTarget.js";
import { partName } from "./sensitivity.js";
import type { SensitivityReport } from "./sensitivityOf.js";

const percent = (share: number): string => (100 * share).toFixed(2);
const decibel = ({ sqnr }: Behavior): string => sqnr?.toFixed(1) ?? "exact";
const bitsIn = (bits: number): string => (bits === FLOAT_BITS ? "float" : `${String(bits)} bits`);

/** Whether what was chosen loses no more than was allowed, on the test set too. */
export function keepsAccuracy({ target: { verified, mostLost } }: SensitivityReport): boolean {
  const { chosen, inFloat } = verified;
  return chosen !== undefined && losesAtMost(mostLost, inFloat, chosen);
}

const frontOf = ({ tried }: SensitivityReport["target"]): readonly Raised[] =>
  paretoFront(tried, ({ bitOps, behavior }) => [bitOps, behavior.accuracy]);

/** Cost of the network as the cell has it, the cheapest of all. */
const ownCost = ({ tried }: SensitivityReport["target"]): number => tried[0]?.bitOps ?? NaN;

/** The ranking, the curve, and what an accuracy costs. */
export function sensitivityText(report: SensitivityReport): string {
  const { inFloat, quantized, judges, target } = report;
  const own = ownCost(target);
  const { areLabeled, images } = judges;
  const right = areLabeled ? "" : " (without labels; float is taken to be right)";
  return [
    `On ${String(images)} training images${right} float reaches ${percent(inFloat.accuracy)} %, everything quantized ${percent(quantized.deployed.accuracy)} % on onnxruntime.`,
    rankingTable(report),
    "What accuracy costs, on onnxruntime; nothing that was tried beats these:",
    ...frontOf(target).map(
      ({ layers, bitOps, behavior }) =>
        `${(bitOps / own).toFixed(2).padStart(7)} x bit operations ${percent(behavior.accuracy).padStart(7)} %  ${raisedText(layers)}`,
    ),
    sensitivityVerdict(report),
  ].join("\n");
}

const COLUMNS = [
  ...["part", "alone: loss", "accuracy", "SQNR, dB", "simulated"],
  ...["in float: loss", "accuracy", "SQNR, dB", "simulated"],
];

/** A row for each part, the most sensitive first. */
const rankingRows = ({ ranking }: SensitivityReport): readonly (readonly string[])[] =>
  ranking.map((part) => [
    partName(part),
    ...[part.alone, part.without].flatMap(({ deployed, simulated }) => [
      deployed.loss.toFixed(4),
      percent(deployed.accuracy),
      decibel(deployed),
      percent(simulated.accuracy),
    ]),
  ]);

function rankingTable(report: SensitivityReport): string {
  const table = new Table({
    head: [...COLUMNS],
    colAligns: ["left", ...Array.from({ length: 8 }, () => "right" as const)],
    style: { head: [], border: [] },
    // No lines between rows.
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const row of rankingRows(report)) table.push([...row]);
  return table.toString();
}

/** For the cell's page. */
export const shownSensitivity = (report: SensitivityReport): MeasuredSensitivity => ({
  verdict: sensitivityVerdict(report),
  columns: COLUMNS,
  rows: rankingRows(report),
  picture: sensitivityPictureOf(report),
});

const raisedText = (layers: Raised["layers"]): string =>
  Object.entries(layers)
    .map(([layer, bits]) => `${layer} ${bitsIn(bits)}`)
    .join(", ") || "as it is";

/** What the accuracy that was asked for costs. */
export function sensitivityVerdict(report: SensitivityReport): string {
  const { target } = report;
  const { chosen, verified, mostLost } = target;
  const allowed = `${(100 * mostLost).toString()} points`;
  if (chosen === undefined || verified.chosen === undefined)
    return `Nothing that was tried loses at most ${allowed}.`;
  const what =
    Object.keys(chosen.layers).length === 0
      ? `At most ${allowed} are lost as it is`
      : `At most ${allowed} are lost with ${raisedText(chosen.layers)}: ${(chosen.bitOps / ownCost(target)).toFixed(2)} x bit operations`;
  const kept = keepsAccuracy(report) ? "" : " More than that is lost there.";
  return `${what}. Deployed so, the test set gives ${percent(verified.chosen.accuracy)} %; float ${percent(verified.inFloat.accuracy)} %, everything quantized ${percent(verified.quantized.accuracy)} %.${kept}`;
}

/** Bars of the parts, and the curve. */
export function sensitivityPictureOf(report: SensitivityReport): string {
  const { ranking, inFloat, target } = report;
  const own = ownCost(target);
  const shown = ({ bitOps, behavior }: Raised) => ({
    cost: bitOps / own,
    accuracy: 100 * behavior.accuracy,
  });
  return sensitivityPicture({
    bars: {
      title: "Points lost with one part quantized alone, on onnxruntime",
      rows: ranking.map((part) => ({
        label: partName(part),
        lost: 100 * (inFloat.accuracy - part.alone.deployed.accuracy),
      })),
    },
    networks: {
      title: "Layers at more bits or in float, on onnxruntime",
      tried: target.tried.map(shown),
      front: frontOf(target).map(shown),
      chosen: target.chosen && shown(target.chosen),
      asked: 100 * (inFloat.accuracy - target.mostLost),
    },
  });
}
