import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, modelOf } from "./cells.js";
import { costsElsewhere } from "./costsElsewhere.js";
import type { Margins } from "./decision/standing.js";
import { meanOverSeeds, percentOverSeeds, pointsWithMargin } from "./format.js";
import { searchGains, type Comparison } from "./searchGains.js";
import { marginOf } from "./statistics/difference.js";
import { CONFIDENCE, mean } from "./statistics/moments.js";
import { pageOf } from "./summary.js";

const VERDICTS = {
  better: "better",
  worse: "worse",
  equivalent: "equivalent",
  undecided: "not told apart",
} as const;

/** What searching gained and what policies cost on other hardware, as the report says it; nothing where nobody searched. */
export function searchesView(results: readonly CellResult[], margins?: Margins) {
  const gains = searchGains(results, margins).map(({ found, random, uniform }) => {
    const [first] = found;
    if (first === undefined) throw new TypeError("a search without cells");
    return {
      ...{ model: modelOf(first), bits: bitsOf(first), backend: backendOf(first) },
      algorithm: algorithmOf(first),
      link: pageOf(first),
      accuracy: percentOverSeeds(found.map(deviceAccuracy)),
      visits: [found, random.cells].map(meanVisits).join(" / "),
      random: comparisonView(random),
      uniform: uniform && comparisonView(uniform),
    };
  });
  const targets = costsElsewhere(results).map(({ name, targets: columns, rows }) => ({
    ...{ name, columns },
    rows: rows.map(({ cells: [first], parts }) => ({
      policy: first === undefined ? "" : algorithmOf(first),
      link: first === undefined ? "" : pageOf(first),
      costs: columns.map((target) => shown(parts.get(target) ?? [])),
    })),
  }));
  if (gains.length === 0 && targets.length === 0) return undefined;
  return {
    ...{ gains, targets },
    better: gains.filter(({ random }) => random.verdict === VERDICTS.better).length,
    compared: gains.filter(({ uniform }) => uniform !== undefined).length,
    aboveUniform: gains.filter(({ uniform }) => uniform?.verdict === VERDICTS.better).length,
  };
}

function comparisonView({ cells, estimate, verdict }: Comparison) {
  const [first] = cells;
  return {
    algorithm: first === undefined ? "" : algorithmOf(first),
    accuracy: percentOverSeeds(cells.map(deviceAccuracy)),
    difference: pointsWithMargin(estimate.mean, marginOf(estimate, CONFIDENCE)),
    seeds: estimate.seeds,
    verdict: VERDICTS[verdict],
  };
}

const meanVisits = (cells: readonly CompletedCell[]): string =>
  Math.round(mean(cells.map(({ search }) => search?.visits.used ?? NaN))).toLocaleString("en-US");

/** Its own hardware is 1 by definition, which no interval says better. */
function shown(parts: readonly number[]): string {
  if (parts.length === 0) return "–";
  return parts.every((part) => part === 1) ? "1.00" : meanOverSeeds(parts);
}
