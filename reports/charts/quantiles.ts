import { plane } from "./axes.js";
import { at, line, picture, text } from "./svg.js";

export interface QuantileRow {
  readonly label: string;
  /** 5, 25, 50, 75 and 95 %. */
  readonly quantiles: readonly number[];
}

const ROW_HEIGHT = 34;
const WIDTH = 460;
const MARGINS = 52;

/** Distributions as boxes: the middle half, its median, and whiskers to 5 and 95 %. */
export function quantileChart(
  rows: readonly QuantileRow[],
  { name, label }: { readonly name: string; readonly label: string },
): string {
  const all = rows.flatMap(({ quantiles }) => quantiles);
  const size = { width: WIDTH, height: rows.length * ROW_HEIGHT + MARGINS };
  const { x, y, drawn } = plane(
    size,
    { label, domain: [Math.min(...all), Math.max(...all)] },
    { label: "", domain: [0, rows.length], format: () => "" },
  );
  const boxes = rows.map(
    ({ label: row, quantiles: [p5 = 0, p25 = 0, p50 = 0, p75 = 0, p95 = 0] }, i) => {
      const middle = y(rows.length - i - 0.5);
      return [
        line(x(p5), middle, x(p95), middle, "whisker"),
        `<rect class="box" x="${at(x(p25))}" y="${at(middle - 7)}" width="${at(Math.max(1, x(p75) - x(p25)))}" height="14"/>`,
        line(x(p50), middle - 9, x(p50), middle + 9, "median"),
        text(x(p5), middle - 11, row),
      ].join("");
    },
  );
  const description = rows
    .map(({ label: row, quantiles }) => `${row}: median ${(quantiles[2] ?? NaN).toPrecision(3)}`)
    .join("; ");
  return picture(size, { name, description }, drawn + boxes.join(""));
}
