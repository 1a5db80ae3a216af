import { scaleLinear } from "d3-scale";
import type { Ranking } from "../ranking.js";
import { line, picture, text } from "./svg.js";

const WIDTH = 760;
const LABEL_SPACE = 200;
const ROW = 18;
const BAR = 8;

/**
 * A critical-difference diagram (Demsar, 2006): algorithms on an axis of mean ranks, the best on
 * the left; a bar joins those that Nemenyi's test does not tell apart.
 */
export function criticalDifferenceChart({
  algorithms,
  meanRanks,
  criticalDifference,
}: Ranking): string {
  const sorted = algorithms
    .map((name, i) => ({ name, rank: meanRanks[i] ?? NaN }))
    .sort((a, b) => a.rank - b.rank);
  const count = sorted.length;
  const x = scaleLinear([1, count], [LABEL_SPACE, WIDTH - LABEL_SPACE]);
  const groups = indistinct(
    sorted.map(({ rank }) => rank),
    criticalDifference,
  );
  const axisY = 62;
  const barsY = axisY + 12;
  const labelsY = barsY + groups.length * BAR + 14;
  const half = Math.ceil(count / 2);
  const height = labelsY + half * ROW + 6;
  const ticks = Array.from({ length: count }, (_, i) => i + 1);
  const parts = [
    line(x(1), 14, x(Math.min(count, 1 + criticalDifference)), 14, "bar"),
    text(x(1), 30, `critical difference ${criticalDifference.toFixed(2)}`),
    line(x(1), axisY, x(count), axisY, "whisker"),
    ...ticks.map(
      (rank) =>
        line(x(rank), axisY - 4, x(rank), axisY, "whisker") +
        (count <= 20 || rank % 5 === 0
          ? text(x(rank), axisY - 7, String(rank), { anchor: "middle" })
          : ""),
    ),
    ...groups.map(([from, to], i) =>
      line(
        x(sorted[from]?.rank ?? 1) - 3,
        barsY + i * BAR,
        x(sorted[to]?.rank ?? 1) + 3,
        barsY + i * BAR,
        "bar",
      ),
    ),
    ...sorted.map(({ name, rank }, i) => {
      const left = i < half;
      const y = labelsY + (left ? i : count - 1 - i) * ROW;
      const edge = left ? LABEL_SPACE - 12 : WIDTH - LABEL_SPACE + 12;
      return (
        line(x(rank), axisY, x(rank), y, "leader") +
        line(x(rank), y, edge, y, "leader") +
        text(edge + (left ? -4 : 4), y + 4, `${name} (${rank.toFixed(2)})`, {
          anchor: left ? "end" : "start",
        })
      );
    }),
  ];
  const description = sorted.map(({ name, rank }) => `${name} ${rank.toFixed(2)}`).join(", ");
  return picture(
    { width: WIDTH, height },
    { name: "Critical-difference diagram", description: `Mean ranks: ${description}` },
    parts.join(""),
  );
}

/** The widest runs of sorted ranks that lie within the critical difference; of two or more. */
function indistinct(ranks: readonly number[], difference: number): [number, number][] {
  let reached = -1;
  return ranks.flatMap((rank, from): [number, number][] => {
    const to = ranks.findLastIndex((other) => other - rank < difference);
    if (to <= reached || to === from) return [];
    reached = to;
    return [[from, to]];
  });
}
