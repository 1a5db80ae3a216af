// Every table can be saved as it is in view: filtered and sorted.

/** A cell's text on one line; what is small print is in brackets. */
const plainText = (cell) => {
  const parts = [...cell.childNodes].map((node) =>
    node.nodeName === "SMALL" ? ` (${node.textContent})` : node.textContent,
  );
  return parts.join("").replace(/\s+/g, " ").trim();
};

const tableInView = (table) => {
  const row = ({ cells }) => [...cells].map(plainText);
  return {
    caption: table.caption?.textContent.trim() ?? "",
    header: table.tHead ? row(table.tHead.rows[0]) : [],
    rows: [...rowsInView(table), ...(table.tFoot?.rows ?? [])].map(row),
  };
};

// A cell that starts like a formula would be executed by spreadsheet programs.
const csvCell = (text) => {
  const inert = /^[=+@\t]|^-[^\d]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
};
const csvText = ({ header, rows }) =>
  [header, ...rows].map((row) => `${row.map(csvCell).join(",")}\n`).join("");

const LATEX_SIGNS = {
  "\\": "\\textbackslash{}",
  "^": "\\textasciicircum{}",
  "~": "\\textasciitilde{}",
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
const latexSign = (sign) => LATEX_SIGNS[sign] ?? `\\${sign}`;
const escapeLatex = (text) => text.replace(/[\\{}$&#^_~%<>|"⚠±≈−–µ]/g, latexSign);

const latexText = (table, { caption, header, rows }) => {
  const columns = [...(table.tHead?.rows[0].cells ?? table.rows[0].cells)];
  const isText = (cell) => getComputedStyle(cell).textAlign === "start";
  const line = (cells) => `    ${cells.map(escapeLatex).join(" & ")} \\\\`;
  return [
    "% needs \\usepackage{booktabs}",
    "\\begin{table}",
    "  \\centering",
    `  \\caption{${escapeLatex(caption)}}`,
    `  \\begin{tabular}{${columns.map((cell) => (isText(cell) ? "l" : "r")).join("")}}`,
    "    \\toprule",
    line(header),
    "    \\midrule",
    ...rows.map(line),
    "    \\bottomrule",
    "  \\end{tabular}",
    "\\end{table}\n",
  ].join("\n");
};

const jsonText = ({ caption, header, rows }) =>
  `${JSON.stringify(
    {
      caption,
      rows: rows.map((row) =>
        Object.fromEntries(row.map((text, i) => [header[i] ?? `${i}`, text])),
      ),
    },
    null,
    2,
  )}\n`;

const FORMS = [
  ["CSV", "csv", "text/csv", (table) => csvText(tableInView(table))],
  ["LaTeX", "tex", "text/x-tex", (table) => latexText(table, tableInView(table))],
  ["JSON", "json", "application/json", (table) => jsonText(tableInView(table))],
];

const save = (name, type, text) => {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

for (const table of document.querySelectorAll(".scroll > table")) {
  if (!table.tHead) continue;
  const { caption } = tableInView({ caption: table.caption, tBodies: [{ rows: [] }] });
  const name = caption.replace(/[^\p{L}\d]+/gu, "-").replace(/^-|-$/g, "") || "table";
  const buttons = FORMS.map(([title, ending, type, write]) => {
    const button = make("button", { type: "button", textContent: title });
    button.setAttribute("aria-label", `Save "${caption}" as ${title}`);
    button.addEventListener("click", () => save(`${name}.${ending}`, type, write(table)));
    return button;
  });
  table.parentElement.after(make("div", { className: "tools" }, ...buttons));
}
