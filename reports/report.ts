import { cellName } from "../results/store.js";
import { isCompleted } from "./cells.js";
import { cellDataFiles, groupsOf } from "./cellData.js";
import { cellView } from "./cellView.js";
import { indexView } from "./indexView.js";
import type { ReportFile, ReportInput } from "./reportInput.js";
import { lossMaps, standaloneMap } from "./lossMap.js";
import { accuracyTables } from "./summary.js";
import { trainingCurves } from "./trainingCurves.js";
import { browserFiles, template } from "./templates.js";

/**
 * The report: index.html, which needs no other file, and a page for each cell. The same results
 * give the same bytes. Pages are made one by one, so that thousands of them need no memory.
 */
export async function* renderReport(input: ReportInput): AsyncGenerator<ReportFile> {
  const { style, script, sideBySide } = await browserFiles();
  const [index, cell] = [await template("report.hbs", script), await template("cell.hbs")];
  yield { path: "index.html", content: index({ ...indexView(input), style, script }) };
  yield* lossMaps(accuracyTables(input.results, input.margins)).map(({ file, svg }) => ({
    path: file,
    content: standaloneMap(svg),
  }));
  const curves = trainingCurves(input.results.filter(isCompleted));
  if (curves.length > 0)
    yield {
      path: "curves.html",
      content: (await template("curves.hbs"))({ title: input.run.title, curves }),
    };
  const completed = input.results.filter(isCompleted);
  const groups = groupsOf(completed);
  yield { path: "sideBySide.html", content: (await template("sideBySide.hbs"))(input.run) };
  yield { path: "sideBySide.js", content: sideBySide };
  yield* cellDataFiles(completed);
  // The pages of cells share what would weigh more than themselves.
  yield { path: "style.css", content: style };
  yield { path: "browser.js", content: script };
  for (const [i, result] of input.results.entries()) {
    const surroundings = {
      ...{ previous: input.results[i - 1], next: input.results[i + 1] },
      group: isCompleted(result) ? groups.get(result) : undefined,
    };
    yield {
      path: `cells/${cellName(result)}.html`,
      content: cell(cellView(result, input, surroundings)),
    };
  }
}
