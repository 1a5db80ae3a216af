import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import Handlebars from "handlebars";
import type { CellResult, Environment, Run } from "../results/schema.js";
import { cellName } from "../results/store.js";
import { cellView } from "./cellView.js";
import { indexView } from "./indexView.js";

export interface ReportInput {
  readonly run: Run;
  readonly environment: Environment;
  /** In the order of tables. */
  readonly results: readonly CellResult[];
}

/** A file of the report. */
export interface ReportFile {
  /** Relative to the report's directory. */
  readonly path: string;
  readonly content: string;
}

const { resolve } = createRequire(import.meta.url);
const read = (name: string): Promise<string> =>
  readFile(resolve(`#package/reports/${name}`), "utf8");

/**
 * The report: index.html, which needs no other file, and a page for each cell. The same results
 * give the same bytes. Pages are made one by one, so that thousands of them need no memory.
 */
export async function* renderReport(input: ReportInput): AsyncGenerator<ReportFile> {
  const [style, script] = [await read("style.css"), await read("browser.js")];
  const compile = async (name: string) =>
    Handlebars.compile(await read(name), { strict: true, knownHelpersOnly: true });
  const [index, cell] = [await compile("report.hbs"), await compile("cell.hbs")];
  yield { path: "index.html", content: index({ ...indexView(input), style, script }) };
  // The pages of cells share what would weigh more than themselves.
  yield { path: "style.css", content: style };
  yield { path: "browser.js", content: script };
  for (const result of input.results) {
    yield { path: `cells/${cellName(result)}.html`, content: cell(cellView(result, input)) };
  }
}
