import { at, escapeMarkup, picture, text } from "./svg.js";

/** One square of the map. */
export interface Square {
  /** What stands in it: a number, or a sign where there is none. */
  readonly text: string;
  /** From 0, nothing lost, to 1; absent where there is no number. */
  readonly heat?: number | undefined;
  /** Whether it is of another kind than most, and to look so. */
  readonly isOther?: boolean;
  /** What a reader is told who points at it, or cannot see it. */
  readonly spoken: string;
  /** Where a reader finds more. */
  readonly href?: string | undefined;
}

export interface HeatMap {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly squares: readonly Square[] }[];
}

const LABEL = 190;
const SQUARE = { width: 44, height: 18 };
/** Room above for names of columns, which lean. */
const ABOVE = 120;
const RIGHT = 70;

/** Rows by columns, each square the redder the more was lost in it. */
export function heatMapChart(
  { columns, rows }: HeatMap,
  { name, description }: { readonly name: string; readonly description: string },
): string {
  const left = (column: number): number => LABEL + column * SQUARE.width;
  const heads = columns.map((column, i) => {
    const [x, y] = [at(left(i) + SQUARE.width / 2), at(ABOVE - 6)];
    return `<g transform="translate(${x} ${y}) rotate(-45)">${text(0, 0, column)}</g>`;
  });
  const drawn = rows.map((row, r) => {
    const y = ABOVE + r * SQUARE.height;
    const squares = row.squares.map((square, i) => squareAt(square, left(i), y));
    return text(LABEL - 6, y + 13, row.name, { anchor: "end" }) + squares.join("");
  });
  const size = {
    width: left(columns.length) + RIGHT,
    height: ABOVE + rows.length * SQUARE.height + 4,
  };
  return picture(size, { name, description }, heads.join("") + drawn.join(""));
}

function squareAt(square: Square, x: number, y: number): string {
  const { text: content, heat, spoken, href, isOther = false } = square;
  const style = heat === undefined ? "" : ` style="--heat:${heat.toFixed(2)}"`;
  const [width, height] = [at(SQUARE.width - 1), at(SQUARE.height - 1)];
  const rect = `<rect class="${heat === undefined ? "none" : "square"}" x="${at(x)}" y="${at(y)}" width="${width}" height="${height}"${style}/>`;
  const number = text(x + SQUARE.width / 2, y + 13, content, {
    ...{ anchor: "middle", style: isOther ? "other" : "" },
  });
  const inside = `<title>${escapeMarkup(spoken)}</title>${rect}${number}`;
  return href === undefined
    ? `<g>${inside}</g>`
    : `<a href="${escapeMarkup(href)}" aria-label="${escapeMarkup(spoken)}">${inside}</a>`;
}
