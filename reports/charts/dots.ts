import { plane } from "./axes.js";
import { at, escapeMarkup, line, picture, text } from "./svg.js";

export interface Dot {
  readonly label: string;
  readonly value: number;
  /** Half of the value's interval; absent where nothing says how uncertain it is. */
  readonly margin?: number | undefined;
  /** Where a reader finds more. */
  readonly href: string;
}

const ROW = 18;
/** Pixels of labels on the left: as the longest one needs, which ends in dots where it is too long. */
const LABEL = { least: 170, most: 420, letter: 6.4 };
const PLOT = 380;
const BELOW = 40;
/** What is so much below the best is drawn at the edge, as an arrow. */
const SHOWN_RANGE = 25;

/** Values with their intervals, each on a row of its own, the highest first. */
export function dotChart(
  dots: readonly Dot[],
  { name, label }: { readonly name: string; readonly label: string },
): string {
  const sorted = dots.toSorted((a, b) => b.value - a.value);
  const best = sorted[0]?.value ?? 0;
  const floor = best - SHOWN_RANGE;
  const reach = (sign: 1 | -1) => (dot: Dot) =>
    Math.max(floor, dot.value + sign * (dot.margin ?? 0));
  const longest = Math.max(0, ...dots.map((dot) => dot.label.length));
  const labels = Math.min(LABEL.most, Math.max(LABEL.least, LABEL.letter * longest + 16));
  const shown = Math.floor((labels - 16) / LABEL.letter);
  const size = { width: Math.round(labels + PLOT), height: sorted.length * ROW + BELOW + 12 };
  const { x, drawn } = plane(
    { width: PLOT, height: size.height },
    {
      label,
      domain: [Math.min(...sorted.map(reach(-1))), Math.max(...sorted.map(reach(1)))],
    },
    { label: "", domain: [0, 1], format: () => "" },
  );
  const rows = sorted.map((dot, i) => {
    const y = 12 + (i + 0.5) * ROW;
    const [low, high] = [x(reach(-1)(dot)), x(reach(1)(dot))];
    const spoken = `${dot.label}: ${dot.value.toFixed(2)}${dot.margin === undefined ? "" : ` ± ${dot.margin.toFixed(2)}`}`;
    const mark =
      dot.value < floor
        ? text(x(floor) - 4, y + 4, "◀", { anchor: "start" })
        : `<circle class="front" cx="${at(x(dot.value))}" cy="${at(y)}" r="4"/>`;
    return `<a href="${escapeMarkup(dot.href)}" aria-label="${escapeMarkup(spoken)}"><title>${escapeMarkup(spoken)}</title>${text(46, y + 4, shortened(dot.label, shown), { anchor: "end" })}${line(low, y, high, y, "interval")}${mark}</a>`;
  });
  const described = sorted.map(({ label: of, value }) => `${of} ${value.toFixed(2)}`).join(", ");
  return picture(
    size,
    { name, description: described },
    `<g transform="translate(${String(Math.round(labels - 52))} 0)">${drawn}${rows.join("")}</g>`,
  );
}

const shortened = (label: string, letters: number): string =>
  label.length <= letters ? label : `${label.slice(0, letters - 1)}…`;
