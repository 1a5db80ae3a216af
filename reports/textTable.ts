/** A text, and how it is colored once its width is known. */
export interface TextCell {
  readonly text: string;
  readonly color?: (text: string) => string;
}

export interface TextTable {
  /** Of the first column, which names the rows, and of all others. */
  readonly head: readonly string[];
  readonly rows: readonly (readonly TextCell[])[];
  /** Whether a cell says nothing: rows and columns of such cells alone are left out. */
  readonly isEmpty: (cell: TextCell) => boolean;
}

const GAP = "  ";
/** Names give way to numbers down to this. */
const SHORTEST_NAME = 12;

const widthOf = (text: string): number => Array.from(text).length;

const cut = (text: string, width: number): string =>
  widthOf(text) <= width
    ? text
    : `${Array.from(text)
        .slice(0, width - 1)
        .join("")}…`;

/**
 * A table in lines of at most so many characters: what does not fit goes on below, as many columns
 * at a time as fit beside the names of the rows, and only with the rows that have something there.
 */
export function renderTextTable({ head, rows, isEmpty }: TextTable, width: number): string[] {
  const columns = [...head.keys()].slice(1);
  const widths = head.map((name, i) =>
    Math.max(widthOf(name), ...rows.map((row) => widthOf(row[i]?.text ?? ""))),
  );
  const widest = Math.max(...columns.map((i) => widths[i] ?? 0));
  const longest = Math.max(SHORTEST_NAME, width - GAP.length - widest);
  const nameWidth = Math.min(widths[0] ?? 0, longest);
  const perPage = pagesOf(columns, (i) => GAP.length + (widths[i] ?? 0), width - nameWidth);
  const pages = perPage.map((page) => {
    const line = (name: TextCell, cells: readonly (TextCell | undefined)[]) =>
      [
        paint(name, cut(name.text, nameWidth).padEnd(nameWidth)),
        ...cells.map((cell, k) => {
          const size = Math.min(widths[page[k] ?? 0] ?? 0, width - nameWidth - GAP.length);
          return paint(cell, cut(cell?.text ?? "", size).padStart(size));
        }),
      ].join(GAP);
    const shown = rows.filter((row) => page.some((i) => row[i] && !isEmpty(row[i])));
    return [
      line(
        { text: head[0] ?? "" },
        page.map((i) => ({ text: head[i] ?? "" })),
      ),
      ...shown.map((row) =>
        line(
          row[0] ?? { text: "" },
          page.map((i) => row[i]),
        ),
      ),
    ];
  });
  return pages.flatMap((page, i) => (i === 0 ? page : ["", ...page]));
}

const paint = (cell: TextCell | undefined, text: string): string => cell?.color?.(text) ?? text;

/** Columns in their order, as many on each page as its width holds, but at least one. */
function pagesOf(
  columns: readonly number[],
  widthOfColumn: (column: number) => number,
  width: number,
): number[][] {
  const pages: number[][] = [];
  let left = 0;
  for (const column of columns) {
    const needed = widthOfColumn(column);
    const page = pages.at(-1);
    if (page === undefined || needed > left) {
      pages.push([column]);
      left = width - needed;
    } else {
      page.push(column);
      left -= needed;
    }
  }
  return pages;
}

/** Lines of at most so many characters, broken at spaces. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
