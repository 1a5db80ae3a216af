import type { CompletedCell } from "../results/schema.js";
import { groupBy } from "./cells.js";
import { escapeMarkup } from "./charts/svg.js";
import { percent } from "./format.js";

/** A ratio of so many decibel fills a bar. */
const FULL_BAR = 50;

/** Rows of the table of layers, written by hand: they are most of the work of thousands of pages. */
export function layerRows({ inspection, sites }: CompletedCell): string {
  const byId = new Map(sites.map((site) => [site.id, site]));
  return inspection.sites
    .map((statistics) => {
      const { id, low, high, clipped, sqnr, differing, largestSteps } = statistics;
      const { integersDiffering, integersLargestSteps } = statistics;
      const share4 = (part?: number) => (part === undefined ? "–" : percent(part, 4));
      const steps = (count?: number) => (count === undefined ? "–" : count.toFixed(2));
      const { scheme = "", bitWidth = 0, channelBits } = byId.get(id) ?? {};
      const share = Math.min(1, Math.max(0, (sqnr ?? FULL_BAR) / FULL_BAR)).toFixed(2);
      return [
        `<tr><th scope="row">${escapeMarkup(id)}`,
        `<td class="text">${escapeMarkup(scheme)}`,
        `<td>${channelBits === undefined ? String(bitWidth) : channelShares(channelBits)}`,
        `<td>${low.toPrecision(3)}`,
        `<td>${high.toPrecision(3)}`,
        `<td>${percent(clipped, 3)}`,
        `<td class="bar" style="--share:${share}">${sqnr === null ? "exact" : sqnr.toFixed(1)}`,
        `<td>${share4(differing)}`,
        `<td>${steps(largestSteps)}`,
        `<td>${share4(integersDiffering)}`,
        `<td>${steps(integersLargestSteps)}\n`,
      ].join("");
    })
    .join("");
}

/** "2 bits: 3 channels, 8 bits: 5 channels" */
function channelShares(bits: readonly number[]): string {
  return [...groupBy(bits, String)]
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([width, channels]) => `${width} bits: ${String(channels.length)} channels`)
    .join(", ");
}
