import { groupBy } from "./cells.js";
import type { RunComparison } from "./compareRuns.js";
import { browserFiles, template } from "./templates.js";

/** A comparison as one HTML file that needs nothing else. */
export async function renderComparison(comparison: RunComparison): Promise<string> {
  const files = await browserFiles();
  const render = await template("compare.hbs", files.script);
  const counts = groupBy(comparison.changes, ({ verdict }) => verdict);
  return render({
    ...comparison,
    counts: [...counts].map(([verdict, changes]) => ({ verdict, count: changes.length })),
    changes: comparison.changes.map((change) => ({
      difference: "–",
      margin: "–",
      basis: "–",
      latencyRatio: "–",
      ...change,
      flagged: change.verdict === "worse" || change.verdict === "lost",
    })),
    ...files,
  });
}
