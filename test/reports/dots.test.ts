import { expect, test } from "vitest";
import { dotChart } from "../../reports/charts/dots.js";

/** Pixels of a letter of the picture's font. */
const LETTER = 5.6;

/** Where each label of a chart begins, from the picture's left edge, and what it says. */
function labelsOf(labels: readonly string[]) {
  const dots = labels.map((label, i) => ({ label, value: 90 - i, margin: 1, href: "#" }));
  const svg = dotChart(dots, { name: "accuracy", label: "%" });
  const moved = Number(/translate\(([\d.]+) 0\)/.exec(svg)?.[1]);
  const shown = [...svg.matchAll(/<text x="46"[^>]*>([^<]*)</g)].map(([, text = ""]) => text);
  return shown.map((text) => ({ text, start: moved + 46 - LETTER * text.length }));
}

test("labels are inside of the picture, however long they are", () => {
  const long = "uniformWidth, for 150 % of multiplications, graph rules 2";
  const found = labelsOf(["lsq", long, "x".repeat(200)]);
  expect(found.map(({ text }) => text)).toEqual(["lsq", long, expect.stringMatching(/^x{50,}…$/)]);
  for (const { start } of found) expect(start).toBeGreaterThanOrEqual(0);
  // Short ones leave plots below each other aligned.
  expect(labelsOf(["lsq"])[0]?.start).toBe(labelsOf(["mse"])[0]?.start);
});
