import type { SearchResult } from "../../results/searchSchema.js";
import { pathOf, plane } from "./axes.js";
import { at, picture } from "./svg.js";

const SIZE = { width: 460, height: 240 } as const;

/** Held-out accuracy of every policy by image visits, and the best so far as a line. */
export function scatterOfSearch(trace: SearchResult["trace"]): string {
  const visits = trace.map((line) => line.visits);
  const shares = trace.map(({ accuracy }) => 100 * accuracy);
  const { x, y, drawn } = plane(
    SIZE,
    { label: "image visits", domain: [0, Math.max(...visits)] },
    { label: "held-out accuracy, %", domain: [Math.min(...shares), Math.max(...shares)] },
  );
  let best = -Infinity;
  const steps = trace.flatMap(({ accuracy, visits: used }) => {
    const before = best;
    best = Math.max(best, 100 * accuracy);
    const step = [x(used), y(best)] as const;
    return Number.isFinite(before) && best > before
      ? [[x(used), y(before)] as const, step]
      : [step];
  });
  const dots = trace
    .map(
      ({ visits: used }, i) =>
        `<circle cx="${at(x(used))}" cy="${at(y(shares[i] ?? NaN))}" r="2"/>`,
    )
    .join("");
  return picture(
    SIZE,
    { name: "Policies by image visits", description: `the best reaches ${best.toFixed(2)} %` },
    `${drawn}<g class="series0">${dots}</g><path class="curve" d="${pathOf(steps)}"/>`,
  );
}
