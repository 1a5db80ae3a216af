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
import { RunDirectory } from "../../results/store.js";
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

let browser: Browser;
let page: Page;
let folder: string;
/** What the browser complained about, and what it asked the network for. */
let complaints: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(os.tmpdir(), "quantbench-browser-"));
  const directory = new RunDirectory(folder);
  await directory.create();
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
    test.each(["index.html", "a cell", "compare.html"])("%s", async (name) => {
      const file = name === "a cell" ? await cellPage() : name;
      const opened = await open(file, { colorScheme });
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
    });
  },
);

describe("fits", () => {
  test.each([
    ["a desktop", { width: 1280, height: 900 }],
    ["a phone", { width: 390, height: 844 }],
  ])("%s", async (name, viewport) => {
    const pictures = join(os.tmpdir(), "quantbench-screenshots");
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
  });

  test("browsers without scripts: every number is there, and no control that does nothing", async () => {
    const opened = await open("index.html", { javaScriptEnabled: false });
    expect(await opened.locator("table.cells tbody tr").count()).toBe(18);
    expect(await opened.locator("form.filters").isVisible()).toBe(false);
    await opened.context().close();
  });
});
