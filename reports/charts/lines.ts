import { plane, pathOf, type AxisOptions } from "./axes.js";
import { at, escapeMarkup, picture, text, type Size } from "./svg.js";

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinesOptions {
  readonly name: string;
  readonly x: Omit<AxisOptions, "domain">;
  readonly y: Omit<AxisOptions, "domain">;
  /** Whether each point is marked. */
  readonly marked?: boolean;
  /** Values below are cut off: a few that are far away would flatten the rest. */
  readonly lowest?: number;
}

/** Of names beside the ends of lines, in pixels. */
const LABELS = { width: 190, height: 12 } as const;
const PLOT = { width: 430, height: 280 } as const;
/** The style sheet has so many colors; further lines repeat them, dashed. */
export const SERIES_COLORS = 8;

/** A line for each of several series, named at its end. */
export function linesChart(series: readonly Series[], options: LinesOptions): string {
  const all = series.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const names = labelPlaces(series, options);
  const needed = names.length * LABELS.height + 56;
  const size: Size = {
    width: PLOT.width + LABELS.width,
    height: Math.max(PLOT.height, needed),
  };
  const lowest = options.lowest ?? -Infinity;
  const heights = all.map(([, y]) => Math.max(lowest, y));
  const { x, y, drawn } = plane(
    { width: PLOT.width, height: size.height },
    { ...options.x, domain: extent(all.map(([value]) => value)) },
    { ...options.y, domain: extent(heights) },
  );
  const place = ([px, py]: readonly [number, number]) => [x(px), y(Math.max(lowest, py))] as const;
  const ends = names
    .map(({ index, value }) => ({ index, from: y(Math.max(lowest, value)) }))
    .sort((a, b) => a.from - b.from);
  const spread = apart(
    ends.map(({ from }) => from),
    size.height - 46,
  );
  const lines = series.map(({ name, points }, i) => {
    const style = styleOf(i);
    const places = points.map(place);
    const dots = options.marked
      ? places.map(([px, py]) => `<circle cx="${at(px)}" cy="${at(py)}" r="3"/>`).join("")
      : "";
    const last = places.at(-1) ?? [0, 0];
    const end = spread[ends.findIndex(({ index }) => index === i)] ?? last[1];
    const leader = `<path class="leader" d="M${at(last[0] + 3)} ${at(last[1])}L${at(PLOT.width - 4)} ${at(end)}"/>`;
    return `<g class="${style}"><title>${escapeMarkup(name)}</title><path class="series" d="${pathOf(places)}"/>${dots}${leader}${text(PLOT.width, end + 4, name)}</g>`;
  });
  const description = series
    .map(({ name, points }) => `${name} ${(points.at(-1)?.[1] ?? NaN).toPrecision(4)}`)
    .join(", ");
  return picture(
    size,
    { name: options.name, description: `at the right: ${description}` },
    drawn + lines.join(""),
  );
}

/** Class of a line, in the order of the series. */
export const styleOf = (index: number): string =>
  `series${String(index % SERIES_COLORS)}${index >= SERIES_COLORS ? " dashed" : ""}`;

const labelPlaces = (series: readonly Series[], { lowest = -Infinity }: LinesOptions) =>
  series.flatMap(({ points }, index) => {
    const end = points.at(-1);
    return end === undefined ? [] : [{ index, value: Math.max(lowest, end[1]) }];
  });

/** Heights of labels, sorted, moved so that none touches the next. */
function apart(heights: readonly number[], bottom: number): number[] {
  const places: number[] = [];
  for (const height of heights)
    places.push(Math.max(height, (places.at(-1) ?? -Infinity) + LABELS.height));
  let most = bottom;
  return places
    .toReversed()
    .map((place) => {
      const moved = Math.min(place, most);
      most = moved - LABELS.height;
      return moved;
    })
    .toReversed();
}

const extent = (values: readonly number[]): [number, number] => [
  values.reduce((a, b) => Math.min(a, b)),
  values.reduce((a, b) => Math.max(a, b)),
];
