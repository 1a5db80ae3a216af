import { pathOf, plane } from "./axes.js";
import { at, escapeMarkup, text } from "./svg.js";

export interface SensitivityBar {
  readonly label: string;
  /** Points of accuracy that are lost; below 0 where some are won. */
  readonly lost: number;
}

export interface TriedNetwork {
  /** As a multiple of what the cell itself costs. */
  readonly cost: number;
  /** In percent. */
  readonly accuracy: number;
}

interface Shown {
  readonly bars: { readonly title: string; readonly rows: readonly SensitivityBar[] };
  readonly networks: {
    readonly title: string;
    readonly tried: readonly TriedNetwork[];
    /** Those that no other one beats, in order. */
    readonly front: readonly TriedNetwork[];
    readonly chosen: TriedNetwork | undefined;
    /** The least accuracy that was asked for, in percent. */
    readonly asked: number;
  };
}

const ROW = 18;
const LABEL = 200;
const BARS = 320;
const WIDTH = LABEL + BARS + 60;
const CURVE = 320;
const STYLE = [
  "text{font:12px sans-serif;fill:#333}rect,circle{fill:#3567b0}.grid{stroke:#ddd;fill:none}",
  ".curve{stroke:#3567b0;stroke-width:2;fill:none}.asked{stroke:#b03535;stroke-dasharray:4;fill:none}.chosen{fill:#b03535}",
  "@media(prefers-color-scheme:dark){text{fill:#ddd}rect,circle{fill:#7aa6e8}.grid{stroke:#444}.curve{stroke:#7aa6e8}}",
].join("");

/** A picture that stands alone: what each part loses, and what accuracy costs. */
export function sensitivityPicture({ bars, networks }: Shown): string {
  const top = (bars.rows.length + 2) * ROW;
  const height = top + CURVE + ROW;
  const label = `${bars.title}; ${networks.title}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${at(WIDTH)} ${at(height)}" width="${at(WIDTH)}" height="${at(height)}" role="img" aria-label="${escapeMarkup(label)}"><style>${STYLE}</style>${text(8, 14, bars.title)}${rowsOf(bars.rows)}<g transform="translate(0 ${at(top)})">${text(8, 14, networks.title)}<g transform="translate(0 ${at(ROW)})">${curveOf(networks)}</g></g></svg>\n`;
}

function rowsOf(rows: readonly SensitivityBar[]): string {
  const most = Math.max(...rows.map(({ lost }) => Math.abs(lost)), Number.EPSILON);
  return rows
    .map(({ label, lost }, i) => {
      const y = (i + 1) * ROW + 6;
      const width = (BARS * Math.abs(lost)) / most;
      const opacity = lost < 0 ? ' opacity="0.4"' : "";
      return [
        text(LABEL - 6, y + 12, label, { anchor: "end" }),
        `<rect x="${at(LABEL)}" y="${at(y)}" width="${at(width)}" height="14"${opacity}/>`,
        text(LABEL + width + 6, y + 12, lost.toFixed(2)),
      ].join("");
    })
    .join("");
}

function curveOf({ tried, front, chosen, asked }: Shown["networks"]): string {
  const costs = tried.map(({ cost }) => cost);
  const shares = [...tried.map(({ accuracy }) => accuracy), asked];
  const { x, y, drawn } = plane(
    { width: WIDTH, height: CURVE },
    {
      ...{ label: "bit operations, as a multiple of the cell's", logarithmic: true },
      domain: [Math.min(...costs), Math.max(...costs)],
    },
    { label: "accuracy, %", domain: [Math.min(...shares), Math.max(...shares)] },
  );
  const dot = (radius: number, style: string) => (network: TriedNetwork) =>
    `<circle class="${style}" cx="${at(x(network.cost))}" cy="${at(y(network.accuracy))}" r="${String(radius)}"/>`;
  const across = [Math.min(...costs), Math.max(...costs)].map(
    (cost) => [x(cost), y(asked)] as const,
  );
  return [
    drawn,
    `<path class="asked" d="${pathOf(across)}"/>`,
    `<path class="curve" d="${pathOf(front.map(({ cost, accuracy }) => [x(cost), y(accuracy)]))}"/>`,
    ...tried.map(dot(2.5, "tried")),
    ...(chosen === undefined ? [] : [dot(5, "chosen")(chosen)]),
  ].join("");
}
