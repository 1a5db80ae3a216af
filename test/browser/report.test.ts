import { existsSync } from "node:fs";
import { mkdtemp, readFile, writeFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { renderComparison } from "../../reports/comparePage.js";
import { compareRuns } from "../../reports/compareRuns.js";
import { renderReport } from "../../reports/report.js";
import type { CellResult } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { completedCell, exampleEnvironment, failedCell } from "../results/examples.js";

/** Debian's package has it here; other systems say where theirs is. */
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const algorithms = ["lsq", "pact", "dsq"];
const backends = ["academic", "onnxruntime", "tvm"];

/** Three algorithms on three backends with two seeds, and one failure. */
const results: CellResult[] = [
  ...algorithms.flatMap((name, a) =>
    backends.flatMap((backend, b) =>
      [0, 1].map((seed) =>
        completedCell(
          {
            algorithm: { name, version: 1 },
            backend: { name: backend, version: 1 },
            seed,
          },
          0.88 - 0.02 * a - 0.03 * b - 0.001 * seed,
        ),
      ),
    ),
  ),
  failedCell("out of <memory>", { algorithm: { name: "apot", version: 1 } }),
];

// Long enough for a curve, and with a histogram.
for (const cell of results)
  if (cell.state === "completed") {
    cell.losses = Array.from({ length: 60 }, (_, step) => 2 / (1 + step));
    cell.batchAccuracies = cell.losses.map((loss) => 1 - loss / 3);
    const kernel = cell.inspection.sites.find(({ id }) => id === "stem/kernel");
    if (kernel !== undefined)
      kernel.histogram = {
        ...{ from: -3, to: 2, levels: [-2, 1], uniform: true },
        counts: Buffer.alloc(64, 255).toString("base64"),
      };
  }

let browser: Browser;
let page: Page;
let folder: string;
/** What the browser complained about, and what it asked the network for. */
let complaints: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(os.tmpdir(), "quantbench-browser-"));
  const directory = new RunDirectory(folder);
  await directory.create();
  await directory.writeMatrix("title: test\n");
  for (const cell of results) await directory.writeCell(cell);
  const [model] = results;
  if (model !== undefined) await writeFile(join(directory.models, `${cellName(model)}.onnx`), "");
  await directory.writeReport(
    renderReport({
      run: {
        name: "test",
        title: "Browser test",
        command: "quantbench run test",
        deviations: { lsq: ["learns more"] },
        notes: { tvm: ["shifts only"] },
        cells: results.map(({ id }) => id),
      },
      environment: exampleEnvironment,
      results,
      files: await directory.linkedFiles(),
    }),
  );
  const worse = results.map((cell) =>
    cell.state === "completed"
      ? { ...cell, accuracy: { ...cell.accuracy, deployed: cell.accuracy.deployed - 0.1 } }
      : cell,
  );
  const run = (title: string, cells: CellResult[]) => ({
    title,
    environment: exampleEnvironment,
    results: cells,
  });
  await writeFile(
    join(directory.report, "compare.html"),
    await renderComparison(compareRuns(run("before", results), run("after", worse))),
  );
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
});
afterAll(() => browser.close());

const url = (file: string) => pathToFileURL(join(folder, "report", file)).href;

async function open(file: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const opened = await context.newPage();
  opened.on("console", (message) => complaints.push(message.text()));
  opened.on("pageerror", ({ message }) => complaints.push(message));
  opened.on("request", (request) => {
    if (!/^(?:file|data):/.test(request.url())) complaints.push(`request: ${request.url()}`);
  });
  await opened.goto(url(file));
  return opened;
}

const column = (name: string) =>
  page
    .locator("table.cells thead th")
    .evaluateAll(
      (headers, wanted) => headers.findIndex(({ textContent }) => textContent === wanted),
      name,
    );
const shown = async (name: string) => {
  const index = await column(name);
  return page
    .locator("table.cells tbody tr:not([hidden])")
    .evaluateAll(
      (rows, place) => rows.map((row) => (row as HTMLTableRowElement).cells[place]?.textContent),
      index,
    );
};

beforeEach(async () => {
  complaints = [];
  page = await open("index.html");
  return async () => {
    expect(complaints).toEqual([]);
    await page.context().close();
  };
});

test.each(["index.html", "curves.html", "sideBySide.html", "compare.html", "cells/"])(
  "what is injected into %s neither runs nor loads",
  async (file) => {
    const [first] = results;
    const opened = await open(first && file === "cells/" ? `cells/${cellName(first)}.html` : file);
    const refused = await opened.evaluate(async () => {
      const directives: string[] = [];
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        directives.push(effectiveDirective);
      });
      const script = document.createElement("script");
      script.textContent = "document.title = 'injected'";
      const image = document.createElement("img");
      image.src = "https://example.invalid/x.png";
      const frame = document.createElement("iframe");
      frame.src = "https://example.invalid/";
      document.body.append(script, image, frame);
      await fetch("https://example.invalid/").catch(() => undefined);
      document.body.setAttribute("onclick", "document.title = 'injected'");
      document.body.click();
      for (let wait = 0; wait < 100 && directives.length < 5; wait++)
        await new Promise((done) => setTimeout(done, 50));
      return directives.toSorted();
    });
    expect(refused).toEqual([
      "connect-src",
      "frame-src",
      "img-src",
      "script-src-attr",
      "script-src-elem",
    ]);
    expect(await opened.title()).not.toBe("injected");
    await opened.context().close();
    complaints = complaints.filter((text) => !/Content Security Policy|invalid/.test(text));
  },
);

describe("the table of cells", () => {
  const sortBy = (name: string) =>
    page.locator("table.cells").getByRole("button", { name, exact: true });

  test("sorts by a click, and back by another, and says so", async () => {
    await sortBy("deployed").click();
    const rising = (await shown("deployed")).map(Number);
    expect(rising).toHaveLength(18);
    expect(rising).toEqual(rising.toSorted((a, b) => a - b));
    const header = page.locator("table.cells th[aria-sort]");
    expect(await header.getAttribute("aria-sort")).toBe("ascending");
    await sortBy("deployed").click();
    expect(await header.getAttribute("aria-sort")).toBe("descending");
    expect((await shown("deployed")).map(Number)).toEqual(rising.toReversed());
  });

  test("sorts names as words and changes by their sign", async () => {
    await sortBy("algorithm").click();
    const names = await shown("algorithm");
    expect(names).toEqual(names.toSorted());
    await sortBy("change").click();
    expect((await shown("change"))[0]).toBe("−11.10"); // 0.779 against 0.89
  });

  test("filters by choices and words, and shows how many are left", async () => {
    await page.getByRole("combobox", { name: "algorithm" }).selectOption("pact");
    expect(new Set(await shown("algorithm"))).toEqual(new Set(["pact"]));
    expect(await page.locator("#shown").textContent()).toBe("6 of 18 cells");
    await page.getByRole("searchbox", { name: "contains" }).fill("tvm 0.1");
    expect(await page.locator("#shown").textContent()).toBe("2 of 18 cells");
    await page.getByRole("button", { name: "Show all" }).click();
    await expect.poll(() => page.locator("#shown").textContent()).toBe("18 of 18 cells");
  });
});

describe("what is in view", () => {
  /** What a button of a table's tools saves. */
  async function saved(name: string): Promise<string> {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name, exact: true }).click(),
    ]);
    return readFile(await download.path(), "utf8");
  }
  const choose = async () => {
    await page.getByRole("combobox", { name: "algorithm" }).selectOption("pact");
    await page.locator("table.cells").getByRole("button", { name: "deployed" }).click();
  };

  test("is saved as CSV: the rows that fit, in their order", async () => {
    await choose();
    const lines = (await saved('Save "Completed cells" as CSV')).trimEnd().split("\n");
    expect(lines).toHaveLength(7);
    expect(lines[0]).toMatch(/^network,algorithm,backend,bits,seed,float,simulated,deployed,/);
    expect(lines[1]).toMatch(/^"resnet8, width 8",pact,tvm,W4A4,1,89.00,79.91,79.90,−9.10,/);
    expect(lines.slice(1).every((line) => line.includes(",pact,"))).toBe(true);
  });

  test("is saved as LaTeX and JSON", async () => {
    await choose();
    const latex = await saved('Save "Completed cells" as LaTeX');
    expect(latex).toContain("\\begin{tabular}{lll");
    expect(latex.match(/& pact &/g)).toHaveLength(6);
    const { rows } = JSON.parse(await saved('Save "Completed cells" as JSON')) as {
      rows: Record<string, string>[];
    };
    expect(rows).toHaveLength(6);
    expect(rows[0]).toMatchObject({ algorithm: "pact", backend: "tvm", deployed: "79.90" });
  });

  test("is kept in the address, and found again there", async () => {
    await choose();
    await page.getByRole("searchbox", { name: "contains" }).fill("tvm");
    const address = await page.evaluate(() => location.href);
    expect(address).toMatch(/#cells\?algorithm=pact&contains=tvm&sort=deployed$/);
    await page.goto("about:blank");
    await page.goto(address);
    await expect.poll(() => page.locator("#shown").textContent()).toBe("2 of 18 cells");
    expect(await shown("deployed")).toEqual(["79.90", "80.00"]);
    expect(await page.locator("table.cells th[aria-sort]").textContent()).toBe("deployed");
  });
});

test("a cell leads to those before and after it, its files and the matrix", async () => {
  const [first, second] = results;
  if (first === undefined || second === undefined) throw new Error("there are several");
  await page.goto(url(`cells/${cellName(first)}.html`));
  expect(await page.locator("a[rel=prev]").count()).toBe(0);
  for (const file of [`cells/${cellName(first)}.json`, `models/${cellName(first)}.onnx`]) {
    const href = await page.getByRole("link", { name: file }).getAttribute("href");
    expect(existsSync(new URL(href ?? "", page.url()))).toBe(true);
  }
  const matrix = await page.getByRole("link", { name: "matrix.yaml" }).getAttribute("href");
  expect(await readFile(new URL(matrix ?? "", page.url()), "utf8")).toContain("title: test");
  await page.locator("a[rel=next]").click();
  await page.waitForURL(`**/${cellName(second)}.html`);
  // The second has no exported network here: its name is no link.
  expect(await page.getByRole("link", { name: /onnx$/ }).count()).toBe(0);
  expect(await page.locator("a[rel=prev]").textContent()).toMatch(/lsq on academic, W4A4, seed 0/);
});

test("two cells are shown side by side, layer by layer, from a file", async () => {
  await page.getByRole("link", { name: "Any two cells side by side" }).click();
  await page.waitForURL(/sideBySide\.html#a=/);
  const rows = page.locator("#layers tbody tr");
  await expect.poll(() => rows.count()).toBe(2);
  expect(await rows.first().locator("td, th").allTextContents()).toMatchObject({
    0: "image/output",
    4: "30.0",
    5: "30.0",
  });
  await page
    .getByRole("combobox", { name: "second" })
    .selectOption({ label: "pact on academic, W4A4, seed 0 (resnet8, width 8)" });
  await expect.poll(() => page.url()).toMatch(/&b=resnet8-w8--pact/);
  expect(await page.locator("#losses svg path.series").count()).toBe(2);
});

test("a cell's page shows histograms and errors of its layers when it is asked to", async () => {
  await page.goto(url(await cellPage()));
  await page.getByText("Quantization error by layer, and histograms").click();
  const error = page.getByRole("img", { name: "Quantization error by layer" });
  await expect.poll(() => error.locator("rect").count()).toBe(2);
  expect(await error.textContent()).toContain("-18.5");
  // Of the kernel only; each of its four levels is a line.
  const histograms = page.getByRole("img", { name: /^Values of/ });
  expect(await histograms.count()).toBe(1);
  const lines = await histograms.locator("path.levels").getAttribute("d");
  expect(lines?.match(/M/g)).toHaveLength(4);
});

test("the head of a long table stays in sight while its rows are scrolled", async () => {
  const many = Array.from({ length: 80 }, (_, seed) => completedCell({ seed }, 0.8));
  const run = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-browser-")));
  await run.create();
  await run.writeReport(
    renderReport({
      run: {
        ...{ name: "long", title: "Long", command: "", deviations: {}, notes: {} },
        cells: many.map(({ id }) => id),
      },
      environment: exampleEnvironment,
      results: many,
    }),
  );
  await page.goto(pathToFileURL(join(run.report, "index.html")).href);
  const frame = page.getByRole("region", { name: "Every completed cell" });
  await frame.scrollIntoViewIfNeeded();
  await frame.evaluate((element) => {
    element.scrollTop = 900;
  });
  const [head, top] = await frame.evaluate((element) => [
    element.querySelector("thead th")?.getBoundingClientRect().top ?? NaN,
    element.getBoundingClientRect().top,
  ]);
  expect(Math.abs(head - top)).toBeLessThan(2);
});

test("a phone shows what to use without scrolling sideways", async () => {
  const opened = await open("index.html", { viewport: { width: 390, height: 844 } });
  const choice = opened.locator("table.cards tbody tr").first();
  const box = await choice.locator("strong").boundingBox();
  expect(box?.x).toBeGreaterThan(0);
  expect((box?.x ?? NaN) + (box?.width ?? NaN)).toBeLessThan(390);
  await opened.context().close();
});

test.each([1400, 1920])("nothing is cut off at %i pixels", async (width) => {
  for (const file of ["index.html", await cellPage(), "sideBySide.html"]) {
    const opened = await open(file, { viewport: { width, height: 1000 } });
    await opened.locator("details").evaluateAll((all) => {
      for (const one of all) (one as HTMLDetailsElement).open = true;
    });
    const cut = await opened
      .locator(".scroll")
      .evaluateAll((frames) =>
        frames
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1)
          .map((frame) => frame.getAttribute("aria-label")),
      );
    await opened.context().close();
    expect(cut, file).toEqual([]);
  }
});

test("a number leads to its cells, their files and commands, and to the page of each", async () => {
  await page.getByRole("link", { name: "87.95 ± 0.64" }).first().click();
  const dialog = page.getByRole("dialog");
  await expect.poll(() => dialog.isVisible()).toBe(true);
  const items = await dialog.locator("li").allTextContents();
  expect(items).toHaveLength(2);
  expect(items[1]).toMatch(/lsq on academic, W4A4, resnet8, width 8, seed 1/);
  expect(items[1]).toMatch(/cells\/resnet8-w8--lsq--academic.*json/);
  expect(items[1]).toMatch(/quantbench verify results\/runs\/test --cell [0-9a-f]{12}/);
  await dialog.getByRole("link").nth(1).click();
  await page.waitForURL(/cells\/resnet8-w8--lsq--academic/);
  expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("lsq on academic, W4A4");
  await page.getByRole("link", { name: "Browser test" }).click();
  await page.waitForURL(/index\.html/);
});

test("the keyboard alone sorts, opens a number's cells and closes them", async () => {
  const sort = page.locator("table.cells").getByRole("button", { name: "deployed", exact: true });
  await sort.focus();
  await page.keyboard.press("Enter");
  expect(await page.locator("table.cells th[aria-sort]").textContent()).toBe("deployed");
  // From the address bar on, every stop of the Tab key shows where it is.
  await page.locator("body").press("Tab");
  for (let stop = 0; stop < 12; stop++) {
    const outlined = await page.evaluate(() => {
      const active = document.activeElement;
      return active === null ? "" : getComputedStyle(active).outlineStyle;
    });
    expect(outlined).not.toBe("none");
    await page.keyboard.press("Tab");
  }
  await page.locator("a[data-cells]").first().focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => page.getByRole("dialog").isVisible()).toBe(true);
  await page.keyboard.press("Escape");
  expect(await page.getByRole("dialog").isVisible()).toBe(false);
});

test("the theme follows the system until someone chooses, and is remembered", async () => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.getByRole("button", { name: "Theme: auto" }).click();
  expect(await background()).toBe(light);
  await page.reload();
  expect(await background()).toBe(light);
  await page.getByRole("button", { name: "Theme: light" }).click();
  expect(await background()).toBe(dark);
});

const cellPage = async () =>
  (await page.locator("table.cells tbody a").first().getAttribute("href")) ?? "";

describe.each(["light", "dark"] as const)(
  "in the %s theme nothing serious bars anyone from",
  (colorScheme) => {
    test.each(["index.html", "a cell", "compare.html", "sideBySide.html", "curves.html"])(
      "%s",
      async (name) => {
        const file = name === "a cell" ? await cellPage() : name;
        const opened = await open(file, { colorScheme, bypassCSP: true });
        await opened.locator("details").evaluateAll((all) => {
          for (const one of all) (one as HTMLDetailsElement).open = true;
        });
        await opened.addScriptTag({ content: await readFile(AXE, "utf8") });
        const violations = await opened.evaluate(async () => {
          const { axe } = globalThis as unknown as {
            axe: {
              run(options: { preload: boolean }): Promise<{
                violations: { id: string; impact: string; nodes: { html: string }[] }[];
              }>;
            };
          };
          return (await axe.run({ preload: false })).violations.map(
            ({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html ?? ""}`,
          );
        });
        await opened.context().close();
        expect(violations.filter((text) => /^(?:serious|critical)/.test(text))).toEqual([]);
      },
    );
  },
);

describe("fits", () => {
  test.each([
    ["a desktop", { width: 1280, height: 900 }],
    ["a phone", { width: 390, height: 844 }],
  ])("%s", async (name, viewport) => {
    const kept = process.env["QUANTBENCH_SCREENSHOTS"];
    const pictures = kept ?? join(os.tmpdir(), "quantbench-screenshots");
    await mkdir(pictures, { recursive: true });
    for (const [file, label] of [
      ["index.html", "index"],
      [await cellPage(), "cell"],
    ] as const) {
      const opened = await open(file, { viewport });
      await opened.screenshot({ path: join(pictures, `${label} on ${name}.png`), fullPage: true });
      // Tables scroll in their own frames; the page itself must not.
      const overflow = await opened.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      await opened.context().close();
      expect(overflow, label).toBe(0);
    }
  });

  test("paper: what is for clicking is not printed, and the tables are whole", async () => {
    await page.emulateMedia({ media: "print" });
    expect(await page.getByRole("navigation").isVisible()).toBe(false);
    expect(await page.locator("form.filters").isVisible()).toBe(false);
    expect(await page.locator("table.cells tbody tr").last().isVisible()).toBe(true);
    expect((await page.pdf()).length).toBeGreaterThan(10_000);
    // No frame cuts its table off on a page of A4, and the heat is printed.
    await page.setViewportSize({ width: 1047, height: 718 });
    const frames = await page
      .locator(".scroll")
      .evaluateAll((all) => all.filter((frame) => frame.scrollWidth > 1047).length);
    expect(frames).toBe(0);
    const adjust = await page
      .locator("td.heat")
      .first()
      .evaluate((cell) => getComputedStyle(cell).printColorAdjust);
    expect(adjust).toBe("exact");
  });

  test("browsers without scripts: every number is there, and no control that does nothing", async () => {
    const opened = await open("index.html", { javaScriptEnabled: false });
    expect(await opened.locator("table.cells tbody tr").count()).toBe(18);
    expect(await opened.locator("form.filters").isVisible()).toBe(false);
    await opened.context().close();
  });
});
