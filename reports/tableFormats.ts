import { stringify } from "csv-stringify/sync";
import type { PaperCell, PaperTable } from "./paperTable.js";

/** The forms that tables can be written in. */
export const TABLE_FORMATS = {
  markdown: (tables) => tables.map(markdown).join("\n\n"),
  latex: (tables) => ["% needs \\usepackage{booktabs}", ...tables.map(latex)].join("\n\n"),
  csv,
  json: (tables) => JSON.stringify(tables, null, 2),
} as const satisfies Record<string, (tables: readonly PaperTable[]) => string>;
export type TableFormat = keyof typeof TABLE_FORMATS;

const LEGEND =
  "Best of each column in bold; ≈ is equivalent to it within 1 point, ? may be or not (intervals of 90 %); ⚠ is more than 0.5 points below its simulation.";

/** Before a number; nothing where it is worse, or nothing is known. */
const markOf = (standing: PaperCell["standing"]): string =>
  standing === "equivalent" ? "≈ " : standing === "undecided" ? "? " : "";

function markdown({ caption, rowName, columns, rows }: PaperTable): string {
  // Markdown is HTML with signs of its own; both must not act.
  const escape = (text: string) =>
    text.replace(/[\\`*_{}[\]<>|&~]/g, (sign) => `\\${sign}`).replace(/\s+/g, " ");
  const mark = ({ text, best, standing }: PaperCell) =>
    best ? `**${escape(text)}**` : markOf(standing) + escape(text);
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `${escape(caption)}. ${LEGEND}`,
    "",
    row([rowName, ...columns.map(escape)]),
    row(["---", ...columns.map(() => "---:")]),
    ...rows.map(({ name, cells }) => row([escape(name), ...cells.map(mark)])),
  ].join("\n");
}

const LATEX: Readonly<Record<string, string>> = {
  "\\": "\\textbackslash{}",
  "{": "\\{",
  "}": "\\}",
  $: "\\$",
  "&": "\\&",
  "#": "\\#",
  "^": "\\textasciicircum{}",
  _: "\\_",
  "~": "\\textasciitilde{}",
  "%": "\\%",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
  '"': "''",
  "⚠": "$\\triangle$",
  "±": "$\\pm$",
  "≈": "$\\approx$",
  "−": "$-$",
  "–": "--",
  µ: "$\\mu$",
};

/** Text that LaTeX sets as it is. */
export const escapeLatex = (text: string): string =>
  text.replace(/\p{Cc}+/gu, " ").replace(/[\\{}$&#^_~%<>|"⚠±≈−–µ]/g, (sign) => LATEX[sign] ?? sign);

function latex({ caption, rowName, columns, rows }: PaperTable): string {
  const mark = ({ text, best, standing }: PaperCell) =>
    best ? `\\textbf{${escapeLatex(text)}}` : escapeLatex(markOf(standing) + text);
  const row = (cells: readonly string[]) => `    ${cells.join(" & ")} \\\\`;
  return [
    "\\begin{table}",
    "  \\centering",
    `  \\caption{${escapeLatex(`${caption}. ${LEGEND}`)}}`,
    `  \\begin{tabular}{l${"r".repeat(columns.length)}}`,
    "    \\toprule",
    row([rowName, ...columns.map(escapeLatex)]),
    "    \\midrule",
    ...rows.map(({ name, cells }) => row([escapeLatex(name), ...cells.map(mark)])),
    "    \\bottomrule",
    "  \\end{tabular}",
    "\\end{table}",
  ].join("\n");
}

function csv(tables: readonly PaperTable[]): string {
  const records = tables.flatMap(({ caption, rowName, columns, rows }) =>
    rows.flatMap(({ name, cells }) =>
      cells.map(({ value, margin, seeds, best, standing, text }, i) => ({
        table: caption,
        [rowName]: name,
        column: columns[i],
        value,
        margin,
        seeds,
        best,
        standing,
        text,
      })),
    ),
  );
  // A cell that starts like a formula would be executed by spreadsheet programs.
  return stringify(records, {
    header: true,
    escape_formulas: true,
    cast: { boolean: String },
  }).trimEnd();
}
