import { expect, test } from "vitest";
import { bytes, percentOverSeeds, points } from "../../reports/format.js";
import { renderHtml } from "../../reports/html.js";
import { accuracyTables } from "../../reports/summary.js";
import { renderTerminal } from "../../reports/terminal.js";
import type { CellResult } from "../../results/schema.js";
import { completedCell, failedCell } from "../results/examples.js";

const render = (results: CellResult[], title = "Test run") =>
  renderHtml({
    run: {
      name: "test",
      title,
      command: "quantbench run test",
      deviations: { lsq: ["learns <more>"] },
      notes: { onnxruntime: [] },
      cells: [...results.map(({ id }) => id), "another"],
    },
    environment: {
      quantbench: "0.1.0",
      node: "v20",
      platform: "linux x64",
      cpu: "a CPU",
      cpuFeatures: ["avx2"],
      cores: 2,
      memoryBytes: 4 * 1024 ** 3,
      engines: { onnxruntime: "1.30.0" },
      commit: null,
    },
    results,
  });

test("the report shows every number, reason and setting, and what was not run", async () => {
  const html = await render([completedCell(), failedCell("out of memory")]);
  for (const text of [
    "87.00",
    "−2.00",
    "99.99",
    "0.123 ms",
    "2.03",
    "out of memory",
    "1 not run",
    "learns &lt;more&gt;",
    "4.0 GiB",
    "quantbench run test",
    "quantized training: learning rate",
  ]) {
    expect(html).toContain(text);
  }
});

test("the report is one file without requests, the same for the same results", async () => {
  const html = await render([completedCell()]);
  expect(html).not.toMatch(/(?:src|href)="(?!data:)/);
  expect(html).not.toMatch(/@import|url\(/);
  expect(await render([completedCell()])).toBe(html);
});

test("names and reasons are inert", async () => {
  const attack = `<script>alert("x")</script><img src=x onerror=alert(1)>{{title}}`;
  const html = await render([failedCell(attack)], attack);
  expect(html).not.toContain("<script>alert");
  expect(html).not.toContain("<img");
  expect(html).toContain("&lt;script&gt;");
});

test("a low agreement is explained, a usual one is not", async () => {
  const low = completedCell();
  low.agreement.share = 0.97;
  expect(await render([low])).toContain("97.00 % agree");
  expect(await render([completedCell()])).not.toContain("Where deployment and simulation differ");
});

test("seeds become mean and deviation; failed ones enter no mean and are counted", () => {
  const failed = { ...failedCell("x", { algorithm: { name: "lsq", version: 1 }, seed: 2 }) };
  const [table] = accuracyTables([
    completedCell({}, 0.86),
    completedCell({ seed: 1 }, 0.88),
    failed,
  ]);
  const entry = table?.rows[0]?.entries[0];
  expect(entry?.accuracy).toBe("87.00 ± 1.41"); // sample deviation of 86 and 88
  expect(entry?.note).toBe("2 of 3 seeds; else failed");
});

test("the terminal table says what is not a number", () => {
  const text = renderTerminal([completedCell(), failedCell("x")]);
  expect(text).toContain("failed");
  expect(text).toContain("87.00 (−2.00)");
});

test.each([
  [() => points(0.0123), "−1.23"],
  [() => points(-0.001), "+0.10"],
  [() => points(0), "±0.00"],
  [() => percentOverSeeds([0.5]), "50.00"],
  [() => bytes(84216), "82.2 KiB"],
  [() => bytes(512), "512 B"],
])("%s", (format, expected) => {
  expect(format()).toBe(expected);
});
