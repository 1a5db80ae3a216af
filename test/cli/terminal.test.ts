import { execFile, execFileSync } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { backends } from "../../backends/index.js";
import type { CellResult, CompletedCell } from "../../results/schema.js";
import { RunDirectory } from "../../results/store.js";
import { completedCell, exampleEnvironment } from "../results/examples.js";
import { MAIN, quantbench, temporary } from "./quantbench.js";

/** util-linux's script runs a command on a terminal of its own. */
const hasTerminals = (() => {
  try {
    return execFileSync("script", ["--version"]).toString().includes("util-linux");
  } catch {
    return false;
  }
})();

/** What a command shows on a real terminal of so many columns, without its colors. */
function onTerminal(columns: number, args: readonly string[]): Promise<string[]> {
  const command = `stty cols ${String(columns)} && exec '${process.execPath}' '${MAIN}' ${args.map((arg) => `'${arg}'`).join(" ")}`;
  return new Promise((done) => {
    execFile("script", ["-qec", command, "/dev/null"], { maxBuffer: 1e8 }, (_, stdout) => {
      done(stripVTControlCharacters(stdout).split(/\r?\n/));
    });
  });
}

/** As many algorithms and backends as the quick run has; all of them only on the first backend. */
function wideRun(): CellResult[] {
  const algorithms = Array.from({ length: 20 }, (_, i) => `algorithmNumber${String(i)}`);
  return backends.flatMap((backend, column) =>
    (column === 0 ? algorithms : algorithms.slice(0, 2)).map((name, row) =>
      completedCell(
        {
          algorithm: { name, version: 1 },
          backend: { name: backend.name, version: 1 },
        },
        0.5 + row / 100 + column / 1000,
      ),
    ),
  );
}

async function stored(results: readonly CellResult[]): Promise<string> {
  const directory = new RunDirectory(await temporary());
  await directory.create();
  for (const result of results) await directory.writeCell(result);
  await directory.writeEnvironment(exampleEnvironment);
  await directory.writeRun({
    ...{ name: "wide", title: "Wide", command: "quantbench run wide", deviations: {}, notes: {} },
    cells: results.map(({ id }) => id),
  });
  return directory.path;
}

describe.runIf(hasTerminals)("the final table on a terminal", async () => {
  const results = wideRun();
  const path = await stored(results);

  test.each([40, 80, 120, 200, 400])(
    "of %i columns fits, and shows every number",
    async (columns) => {
      const lines = await onTerminal(columns, ["report", path]);
      const table = lines.filter((line) => !line.startsWith("report: "));
      expect(Math.max(...table.map((line) => Array.from(line).length))).toBeLessThanOrEqual(
        columns,
      );
      expect(table.join("\n")).not.toMatch(/[│─┼]/); // no rulers between rows
      const text = table.join("\n");
      for (const { accuracy } of results as CompletedCell[])
        expect(text).toContain((100 * accuracy.deployed).toFixed(2));
      for (const { name } of backends) expect(text).toContain(name);
      // Rows that have nothing on a page of columns are not repeated there.
      const last = table.filter((line) => line.startsWith("algorithmNumber19"));
      expect(last).toHaveLength(1);
    },
  );

  test("has one page of columns where all fit, and several where not", async () => {
    const pages = async (columns: number) =>
      (await onTerminal(columns, ["report", path])).filter((line) => /^algorithm {2}/.test(line))
        .length;
    expect(await pages(400)).toBe(1);
    expect(await pages(120)).toBeGreaterThan(1);
    expect(await pages(80)).toBeGreaterThan(await pages(120));
  });

  test("follows COLUMNS in a pipe, and is 80 wide without", async () => {
    const widest = async (env: Record<string, string>) => {
      const { stdout } = await quantbench(["report", path], { env });
      return Math.max(...stdout.split("\n").map((line) => Array.from(line).length));
    };
    expect(await widest({})).toBeLessThanOrEqual(80);
    const wide = await widest({ COLUMNS: "120" });
    expect(wide).toBeGreaterThan(80);
    expect(wide).toBeLessThanOrEqual(120);
  });
});
