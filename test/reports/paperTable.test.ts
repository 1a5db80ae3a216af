import { describe, expect, test } from "vitest";
import { paperTables, type TableOptions } from "../../reports/paperTable.js";
import { escapeLatex, TABLE_FORMATS } from "../../reports/tableFormats.js";
import { completedCell, failedCell } from "../results/examples.js";

const options: TableOptions = {
  rows: "algorithm",
  columns: "backend",
  value: "deployed",
  aggregate: "mean",
};
const cell = (name: string, deployed: number, seed = 0) =>
  completedCell({ algorithm: { name, version: 1 }, seed }, deployed);

describe("tables for papers", () => {
  // 86, 88 and 87.5: mean 87.17, t interval 2.59 (SciPy); two digits of it leave one after the point.
  test("have numbers with as many digits as their uncertainty leaves", () => {
    const [table] = paperTables(
      [cell("lsq", 0.86), cell("lsq", 0.88, 1), cell("lsq", 0.875, 2)],
      options,
    );
    expect(table?.rows[0]?.cells[0]?.text).toBe("87.2 ± 2.6");
  });

  // One seed, 10,000 images: 1.645 x sqrt(2 x 0.87 x 0.13 / 10000) = 0.78 points.
  test("mark the best, what is equivalent to it within a point, and what may be", () => {
    const [table] = paperTables(
      [cell("a", 0.87), cell("b", 0.8685), cell("c", 0.866), cell("d", 0.5)],
      options,
    );
    expect(table?.rows.map(({ cells: [one] }) => [one?.best, one?.standing])).toEqual([
      [true, undefined],
      [false, "equivalent"],
      [false, "undecided"],
      [false, "worse"],
    ]);
    expect(TABLE_FORMATS.markdown([...(table ? [table] : [])])).toMatch(
      /\*\*87.00\*\*.*≈ 86.85.*\? 86.60.*\| 50.00 \|/s,
    );
    expect(TABLE_FORMATS.latex([...(table ? [table] : [])])).toContain("$\\approx$ 86.85");
  });

  test("say how many seeds a mean is of, and the state where there is none", () => {
    const failed = failedCell("x", { algorithm: { name: "lsq", version: 1 }, seed: 1 });
    const [some] = paperTables([cell("lsq", 0.86), failed], options);
    expect(some?.rows[0]?.cells[0]?.text).toBe("86.00 (1 of 2 seeds)");
    const [none] = paperTables([failed], options);
    expect(none?.rows[0]?.cells[0]?.text).toBe("failed");
  });

  test("never mix what is neither row, column nor seed", () => {
    const other = completedCell({ bits: { weights: 8, activations: 8 } }, 0.9);
    expect(paperTables([cell("lsq", 0.86), other], options)).toHaveLength(2);
    const [byBits] = paperTables([cell("lsq", 0.86), other], { ...options, columns: "bits" });
    expect(byBits?.columns).toEqual(["W4A4", "W8A8"]);
  });

  test("aggregate as asked: the middle of an even number is between the two", () => {
    const seeds = [0.8, 0.9, 0.84, 0.82].map((accuracy, seed) => cell("lsq", accuracy, seed));
    const value = (aggregate: TableOptions["aggregate"]) =>
      paperTables(seeds, { ...options, aggregate })[0]?.rows[0]?.cells[0]?.value;
    expect(value("median")).toBeCloseTo(83, 10);
    expect(value("min")).toBeCloseTo(80, 10);
    expect(value("max")).toBeCloseTo(90, 10);
  });

  test("prefer low latency and high accuracy", () => {
    const fast = cell("fast", 0.5);
    fast.measured.latency.quantized.medianMs = 0.01;
    const [table] = paperTables([cell("slow", 0.9), fast], { ...options, value: "latency" });
    expect(table?.rows.map(({ cells: [one] }) => one?.best)).toEqual([false, true]);
  });
});

describe("names are inert in", () => {
  const attack = '=cmd|"\\input{x}$&#^_~%<b>`**|[x](y)\u001b[31m';
  const tables = paperTables([cell(attack, 0.5), cell("lsq", 0.6)], options);

  test("Markdown", () => {
    const text = TABLE_FORMATS.markdown(tables);
    expect(text).not.toMatch(/(?<!\\)<b>|(?<!\\)\*\*\\\||(?<!\\)\[x\]/);
    const rows = text.split("\n").filter((line) => line.startsWith("|"));
    // A sign that splits cells would make one row longer than the others.
    expect(new Set(rows.map((row) => row.match(/(?<!\\)\|/g)?.length)).size).toBe(1);
  });

  test("LaTeX", () => {
    const escaped = escapeLatex(attack);
    expect(escaped).toContain("\\textbackslash{}input\\{x\\}\\$\\&\\#");
    expect(escaped).not.toMatch(/(?<!\\)[$&#_%]/);
    expect(TABLE_FORMATS.latex(tables)).not.toContain("\\input");
  });

  test("CSV", () => {
    const text = TABLE_FORMATS.csv(tables);
    expect(text).toMatch(/"'=cmd/);
  });

  test("JSON", () => {
    const read = JSON.parse(TABLE_FORMATS.json(tables)) as typeof tables;
    expect(read[0]?.rows[0]?.name).toBe(attack);
  });
});
