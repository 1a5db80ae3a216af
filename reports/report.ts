import { cellName } from "../results/store.js";
import { cellView } from "./cellView.js";
import { indexView } from "./indexView.js";
import type { ReportInput } from "./reportInput.js";
import { browserFiles, template } from "./templates.js";

/** A file of the report. */
export interface ReportFile {
  /** Relative to the report's directory. */
  readonly path: string;
  readonly content: string;
}

/**
 * The report: index.html, which needs no other file, and a page for each cell. The same results
 * give the same bytes. Pages are made one by one, so that thousands of them need no memory.
 */
export async function* renderReport(input: ReportInput): AsyncGenerator<ReportFile> {
  const { style, script } = await browserFiles();
  const [index, cell] = [await template("report.hbs"), await template("cell.hbs")];
  yield { path: "index.html", content: index({ ...indexView(input), style, script }) };
  // The pages of cells share what would weigh more than themselves.
  yield { path: "style.css", content: style };
  yield { path: "browser.js", content: script };
  for (const result of input.results) {
    yield { path: `cells/${cellName(result)}.html`, content: cell(cellView(result, input)) };
  }
}
