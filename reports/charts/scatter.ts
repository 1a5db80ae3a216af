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

const SIZE = { width: 620, height: 420 } as const;
const BOTTOM = SIZE.height - 40;
/** Points that are so much worse than the best are drawn as ticks below the axis. */
const SHOWN_RANGE = 25;
/** So many points beside the front have names of their own. */
const MOST_NAMED = 120;
/** Of labels, in pixels; letters are about so wide. */
const LABEL = { height: 12, letter: 5.6, offset: 7 } as const;

/** Worth against cost, with the Pareto front: points are links, with labels where there is room. */
export function scatterChart(points: readonly ScatterPoint[], options: ScatterOptions): string {
  const { name, costLabel, worthLabel, formatCost } = options;
  if (points.length === 0) return "";
  const costs = points.map(({ cost }) => cost);
  const best = points.reduce((most, { worth }) => Math.max(most, worth), -Infinity);
  const shown = points.filter(({ worth }) => worth > best - SHOWN_RANGE);
  const below = points.filter(({ worth }) => worth <= best - SHOWN_RANGE);
  const { x, y, drawn } = plane(
    SIZE,
    {
      label: costLabel,
      domain: extent(costs),
      logarithmic: true,
      ...(formatCost && { format: formatCost }),
    },
    { label: worthLabel, domain: extent(shown.map(({ worth }) => worth)) },
  );
  const front = paretoFront(points, ({ cost, worth }) => [cost, worth]);
  const onFront = new Set(front);
  const behind = shown.filter((point) => !onFront.has(point));
  const named = behind.length <= MOST_NAMED ? behind : [];
  // One path for all others: thousands of them would each weigh as much as a row of a table.
  const others = behind
    .filter((point) => !named.includes(point))
    .map(({ cost, worth }) => `M${at(x(cost))} ${at(y(worth))}h0`)
    .join("");
  const place = ({ cost, worth }: ScatterPoint) => [x(cost), Math.min(y(worth), BOTTOM)] as const;
  const labels = labelsOf([...named.toSorted((a, b) => a.worth - b.worth), ...front], place);
  const linked = [...named, ...front].map((point) => {
    const [px, py] = place(point);
    const title = `${point.label}: ${costLabel} ${formatCost?.(point.cost) ?? String(point.cost)}, ${worthLabel} ${point.worth.toFixed(2)}`;
    return `<a href="${escapeMarkup(point.href)}" aria-label="${escapeMarkup(title)}"><title>${escapeMarkup(title)}</title><circle class="${onFront.has(point) ? "front" : "behind"}" cx="${at(px)}" cy="${at(py)}" r="4.5"/>${labels.get(point) ?? ""}</a>`;
  });
  const ticks = below.map(({ cost }) => `M${at(x(cost))} ${at(BOTTOM)}v5`).join("");
  const names = front.map(({ label }) => label).join(", ");
  const hidden = below.length === 0 ? "" : `; ${String(below.length)} below what is shown`;
  return picture(
    SIZE,
    { name, description: `${String(points.length)} points${hidden}; on the front: ${names}` },
    `${drawn}<path class="points" d="${others}"/><path class="below" d="${ticks}"/><path class="frontLine" d="${pathOf(front.map(place))}"/>${linked.join("")}`,
  );
}

const extent = (values: readonly number[]): [number, number] => [
  values.reduce((a, b) => Math.min(a, b)),
  values.reduce((a, b) => Math.max(a, b)),
];

/** Labels beside their points, the best first, wherever there is room that no other label has. */
function labelsOf(
  front: readonly ScatterPoint[],
  place: (point: ScatterPoint) => readonly [number, number],
): ReadonlyMap<ScatterPoint, string> {
  const taken: { left: number; right: number; y: number }[] = [];
  const labels = new Map<ScatterPoint, string>();
  for (const point of front.toReversed()) {
    const [px, py] = place(point);
    const width = point.label.length * LABEL.letter;
    for (const [side, y] of [
      ["right", py + 13],
      ["left", py + 13],
      ["left", py - 6],
      ["right", py - 6],
    ] as const) {
      const left = side === "right" ? px + LABEL.offset : px - LABEL.offset - width;
      const box = { left, right: left + width, y };
      const free =
        box.left > 50 &&
        box.right < SIZE.width &&
        y < BOTTOM &&
        taken.every(
          (other) =>
            Math.abs(other.y - y) >= LABEL.height || other.right < left || other.left > box.right,
        );
      if (!free) continue;
      taken.push(box);
      const anchor = side === "right" ? "start" : "end";
      const x = side === "right" ? px + LABEL.offset : px - LABEL.offset;
      labels.set(point, text(x, y, point.label, { anchor }));
      break;
    }
  }
  return labels;
}
