import { paretoFront } from "../pareto.js";
import { pathOf, plane } from "./axes.js";
import { at, escapeMarkup, picture, text } from "./svg.js";

export interface ScatterPoint {
  /** What it costs, and what it is worth. */
  readonly cost: number;
  readonly worth: number;
  readonly label: string;
  /** Where a reader finds more. */
  readonly href: string;
}

export interface ScatterOptions {
  readonly name: string;
  readonly costLabel: string;
  readonly worthLabel: string;
  readonly formatCost?: (cost: number) => string;
}

const SIZE = { width: 460, height: 320 } as const;
/** Pixels between two labels, so that they can be read. */
const LABEL_HEIGHT = 12;
const LABEL_WIDTH = 120;

/** Worth against cost, with the Pareto front: its points are links with labels. */
export function scatterChart(points: readonly ScatterPoint[], options: ScatterOptions): string {
  const { name, costLabel, worthLabel, formatCost } = options;
  if (points.length === 0) return "";
  const extent = (values: readonly number[]): [number, number] => [
    values.reduce((a, b) => Math.min(a, b)),
    values.reduce((a, b) => Math.max(a, b)),
  ];
  const { x, y, drawn } = plane(
    SIZE,
    {
      label: costLabel,
      domain: extent(points.map(({ cost }) => cost)),
      logarithmic: true,
      ...(formatCost && { format: formatCost }),
    },
    { label: worthLabel, domain: extent(points.map(({ worth }) => worth)) },
  );
  const front = paretoFront(points, ({ cost, worth }) => [cost, worth]);
  const onFront = new Set(front);
  // One path for all others: thousands of them would each weigh as much as a row of a table.
  const others = points
    .filter((point) => !onFront.has(point))
    .map(({ cost, worth }) => `M${at(x(cost))} ${at(y(worth))}h0`)
    .join("");
  const place = ({ cost, worth }: ScatterPoint) => [x(cost), y(worth)] as const;
  const labels = labelled(front, place);
  const linked = front.map((point) => {
    const [px, py] = place(point);
    const title = `${point.label}: ${costLabel} ${formatCost?.(point.cost) ?? String(point.cost)}, ${worthLabel} ${point.worth.toFixed(2)}`;
    const left = px > SIZE.width - LABEL_WIDTH;
    const shown = labels.has(point)
      ? text(px + (left ? -7 : 7), py + 12, point.label, { anchor: left ? "end" : "start" })
      : "";
    return `<a href="${escapeMarkup(point.href)}"><title>${escapeMarkup(title)}</title><circle class="front" cx="${at(px)}" cy="${at(py)}" r="4.5"/>${shown}</a>`;
  });
  const best = front.map(({ label }) => label).join(", ");
  return picture(
    SIZE,
    { name, description: `${String(points.length)} points; on the front: ${best}` },
    `${drawn}<path class="points" d="${others}"/><path class="frontLine" d="${pathOf(front.map(place))}"/>${linked.join("")}`,
  );
}

/** The members that have room for a label. */
function labelled(
  front: readonly ScatterPoint[],
  place: (point: ScatterPoint) => readonly [number, number],
): ReadonlySet<ScatterPoint> {
  const taken: (readonly [number, number])[] = [];
  return new Set(
    front.toReversed().filter((point) => {
      const [x, y] = place(point);
      const crowded = taken.some(
        ([a, b]) => Math.abs(a - x) < LABEL_WIDTH && Math.abs(b - y) < LABEL_HEIGHT,
      );
      if (!crowded) taken.push([x, y]);
      return !crowded;
    }),
  );
}
