import type { CellResult } from "../../results/schema.js";
import { backendOf, groupBy, isCompleted, modelOf } from "../cells.js";
import { bytes, percent, pointsWithMargin } from "../format.js";
import { marginOf } from "../statistics/difference.js";
import { pageOf, shortId } from "../summary.js";
import { candidatesOf, quantizingSeconds, type Candidate } from "./candidates.js";
import { decide, type Decision, type Judged } from "./decide.js";
import { INTERVAL_CONFIDENCE, type Margins, MARGINS, usabilityOf } from "./standing.js";

/** What a network's backends are decided to use: rows of texts. */
export function decisionViews(results: readonly CellResult[], margins = MARGINS) {
  const secondsOf = quantizingSeconds(results.filter(isCompleted));
  return [...groupBy(results, modelOf)].flatMap(([model, ofModel]) => {
    const places = [...groupBy(ofModel, backendOf)].flatMap(([backend, cells]) => {
      const decision = decide(candidatesOf(cells, secondsOf), margins);
      return decision === undefined ? [] : [{ backend, decision }];
    });
    if (places.length === 0) return [];
    return [
      {
        model,
        someFaster: places.some(({ decision }) => decision.fasterThanFloat),
        choices: places.map(({ backend, decision }) => ({ backend, ...choiceView(decision) })),
        fronts: places.flatMap(({ backend, decision }) =>
          decision.front.map((candidate) => ({
            backend,
            ...candidateView(candidate),
            ...standingView(candidate, decision, margins),
          })),
        ),
      },
    ];
  });
}

/** What the texts that explain the table say of its rules. */
export const decisionRules = ({ equivalence, usableLoss } = MARGINS) => ({
  margin: inPoints(equivalence),
  usableLoss: inPoints(usableLoss),
  confidence: percent(INTERVAL_CONFIDENCE, 0),
});

/** 0.005 -> "0.5 points" */
function inPoints(share: number): string {
  const count = Number((100 * share).toFixed(4));
  return `${String(count)} point${count === 1 ? "" : "s"}`;
}

function choiceView(decision: Decision) {
  const { recommended, best } = decision;
  const shown = recommended ?? best;
  return {
    ...candidateView(shown),
    recommended: recommended !== undefined,
    refusal: refusalOf(decision),
    reason: reasonOf(decision),
    slow: !decision.fasterThanFloat,
  };
}

function refusalOf({ recommended, nothingUsable }: Decision): string | undefined {
  if (recommended !== undefined) return undefined;
  return nothingUsable ? "nothing here is usable" : "nothing here is known to be usable";
}

/** Why this one. */
function reasonOf({ recommended, best, tried, equivalent, nothingUsable }: Decision): string {
  const all = tried === 1 ? "the only one tried" : `of ${String(tried)} tried`;
  if (recommended === undefined) {
    const most = tried === 1 ? all : `the most accurate ${all}`;
    const open = nothingUsable ? "" : "; more seeds could tell";
    return `${most}: ${candidateName(best)}${problemsOf(best)}${open}`;
  }
  if (tried === 1) return all;
  if (equivalent === 1) return `${all}, no other is known to be as good`;
  const cheapest = `the cheapest of ${String(equivalent)} equivalent ${all}`;
  return recommended.cells === best.cells
    ? `${cheapest}, and the most accurate`
    : `${cheapest}; the most accurate is ${candidateName(best)} with ${percent(best.accuracy)} %`;
}

const candidateName = ({ algorithm, bits }: Candidate): string => `${algorithm} ${bits}`;

/** What keeps a candidate from being recommended, besides what it loses. */
function problemsOf({ missing, atChance }: Candidate): string {
  const problems = [
    ...(missing > 0 ? [`${String(missing)} of its seeds have no number`] : []),
    ...(atChance ? ["some seed is no better than guessing"] : []),
  ];
  return problems.length === 0 ? "" : ` (${problems.join("; ")})`;
}

function candidateView(candidate: Candidate) {
  const { algorithm, bits, trained, cells, accuracy, change, costs } = candidate;
  const [first] = cells;
  return {
    ...{ algorithm, bits },
    made: trained ? "trained" : "PTQ",
    accuracy: percent(accuracy),
    change: pointsWithMargin(change.mean, marginOf(change, INTERVAL_CONFIDENCE)),
    size: bytes(costs.bytes),
    latency: costs.latencyRatio.toFixed(2),
    energy: costs.energy?.toPrecision(3) ?? "–",
    seconds: costs.seconds < 10 ? costs.seconds.toFixed(1) : costs.seconds.toFixed(0),
    seeds: String(cells.length),
    link: first === undefined ? "" : pageOf(first),
    cells: cells.map(shortId).join(" "),
  };
}

function standingView(candidate: Judged, { best, recommended }: Decision, margins: Margins) {
  const { difference, standing, change } = candidate;
  const isBest = candidate.cells === best.cells;
  const margin = marginOf(difference, INTERVAL_CONFIDENCE);
  const verdict = [
    isBest ? "the most accurate" : standing,
    ...(usabilityOf(change, margins) === "unusable" ? ["unusable"] : []),
  ].join(", ");
  return {
    chosen: candidate.cells === recommended?.cells,
    difference: isBest ? "–" : pointsWithMargin(difference.mean, margin),
    verdict: verdict + problemsOf(candidate),
  };
}
