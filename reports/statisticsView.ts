import type { CellResult } from "../results/schema.js";
import { backendOf } from "./cells.js";
import type { Margins } from "./decision/standing.js";
import { criticalDifferenceChart } from "./charts/criticalDifference.js";
import { points } from "./format.js";
import { FEWEST_NETWORKS, pairings, ranking } from "./ranking.js";
import { robustnessTables } from "./robustness.js";
import { mean } from "./statistics/moments.js";
import { pageOf } from "./summary.js";

/** Which algorithms differ, and which are robust, as the report says it. */
export function statisticsView(results: readonly CellResult[], margins?: Margins) {
  const pairs = pairingsView(results, margins);
  return { ...rankingView(results), robustness: robustnessView(results), ...pairs };
}

function rankingView(results: readonly CellResult[]) {
  const found = ranking(results);
  if ("networks" in found)
    return {
      diagram: undefined,
      fewestNetworks: FEWEST_NETWORKS,
      networks: found.networks === 1 ? "one network" : `${String(found.networks)} networks`,
    };
  return {
    diagram: criticalDifferenceChart(found),
    blocks: found.blocks,
    ranked: found.algorithms.length,
    statistic: found.statistic.toFixed(2),
    pValue: found.pValue < 0.001 ? "< 0.001" : found.pValue.toFixed(3),
  };
}

function pairingsView(results: readonly CellResult[], margins?: Margins) {
  const found = pairings(results, margins);
  return {
    pairings: found.map(({ first, second, differences, ...counts }) => ({
      ...{ first, second, ...counts },
      places: differences.length,
      difference: points(-mean(differences)),
      range:
        differences.length === 1
          ? "–"
          : `${points(-Math.min(...differences))} to ${points(-Math.max(...differences))}`,
    })),
    told: found.filter(({ better, worse }) => better + worse > 0).length,
  };
}

function robustnessView(results: readonly CellResult[]) {
  return robustnessTables(results).map(({ model, bits, backends, rows }) => ({
    ...{ model, bits },
    backends: backends.join(", "),
    rows: rows.map(({ algorithm, meanLoss, worstLoss, worst, seedRange, cells }) => ({
      ...{ algorithm, cells },
      mean: points(meanLoss),
      worst: points(worstLoss),
      where: `${backendOf(worst)}, seed ${String(worst.config.seed)}`,
      link: pageOf(worst),
      range: seedRange === undefined ? "–" : points(-seedRange).slice(1),
    })),
  }));
}
