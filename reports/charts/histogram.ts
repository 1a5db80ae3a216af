import type { LevelHistogram } from "../../results/siteSchema.js";
import { at, line, picture, text } from "./svg.js";

const SIZE = { width: 230, height: 96 } as const;
const [TOP, BOTTOM] = [14, 78];
/** More levels than this are lines too close to be told apart. */
const MOST_GRID_LINES = 33;

/** A tensor's values before quantization, over the levels that they are rounded to. */
export function histogramChart(id: string, histogram: LevelHistogram): string {
  const { from, to, levels, uniform, counts } = histogram;
  const heights = Buffer.from(counts, "base64");
  const x = (value: number) => (SIZE.width * (value - from)) / (to - from);
  const [first = from, last = to] = [levels[0], levels.at(-1)];
  const shown = uniform ? Array.from({ length: last - first + 1 }, (_, i) => first + i) : levels;
  const grid = (shown.length <= MOST_GRID_LINES ? shown : [first, last])
    .map((level) => `M${at(x(level))} ${String(TOP)}V${String(BOTTOM)}`)
    .join("");
  const width = SIZE.width / heights.length;
  const area = Array.from(heights, (height, i) => {
    // Square roots keep tails in sight beside the many zeros behind a ReLU.
    const y = BOTTOM - (BOTTOM - TOP) * Math.sqrt(height / 255);
    return `${i === 0 ? `M0 ${String(BOTTOM)}` : ""}V${at(y)}H${at((i + 1) * width)}`;
  }).join("");
  const label = (value: number) => String(Number(value.toPrecision(3)));
  return picture(
    SIZE,
    {
      name: `Values of ${id}`,
      description: `${String(shown.length)} levels from ${label(first)} to ${label(last)}`,
    },
    [
      `<path class="area" d="${area}V${String(BOTTOM)}Z"/>`,
      `<path class="levels" d="${grid}"/>`,
      line(0, BOTTOM, SIZE.width, BOTTOM, "whisker"),
      text(0, 10, id),
      text(x(first), BOTTOM + 12, label(first), { anchor: "middle", style: "axis" }),
      text(x(last), BOTTOM + 12, label(last), { anchor: "middle", style: "axis" }),
    ].join(""),
  );
}
