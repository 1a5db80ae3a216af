import { describe, expect, test } from "vitest";
import { bytes, digitsFor, percentOverSeeds, points, prefixed } from "../../reports/format.js";
import { renderReport } from "../../reports/report.js";
import { accuracyTables } from "../../reports/summary.js";
import { inert } from "../../reports/inert.js";
import { renderTerminal } from "../../reports/terminal.js";
import type { CellResult } from "../../results/schema.js";
import { cellName } from "../../results/store.js";
import { completedCell, exampleEnvironment, failedCell } from "../results/examples.js";

const EMPTY_RUN = {
  ...{ name: "test", title: "Test run", command: "quantbench run test" },
  ...{ deviations: {}, notes: {}, cells: [] },
};

async function render(results: CellResult[], title = "Test run"): Promise<Map<string, string>> {
  const files = renderReport({
    run: {
      name: "test",
      title,
      command: "quantbench run test",
      deviations: { lsq: ["learns <more>"] },
      notes: { onnxruntime: [] },
      cells: [...results.map(({ id }) => id), "another"],
    },
    environment: exampleEnvironment,
    results,
  });
  const pages = new Map<string, string>();
  for await (const { path, content } of files) pages.set(path, content);
  return pages;
}

const indexOf = async (...options: Parameters<typeof render>) =>
  (await render(...options)).get("index.html") ?? "";

test("a cell page shows what compressed weights take", async () => {
  const cell = completedCell();
  const stored = { format: "SmartExchange", bytes: 2048, weights: 8192 };
  const pages = await render([{ ...cell, size: { ...cell.size, stored } }]);
  const text = [...pages.values()].join("").replaceAll(/<[^>]*>|\s+/g, " ");
  expect(text).toMatch(/weights in float32, and stored as SmartExchange +32.0 KiB +2.0 KiB +16.00/);
  expect(text).toMatch(/weights in 8 bits, and stored +8.0 KiB +2.0 KiB +4.00/);
});

/** A cell whose runtimes have these accuracies, onnxruntime first. */
function onDevice(backend: string, accuracies: Record<string, number>, agreement = 1) {
  const cell = completedCell({ backend: { name: backend, version: 1 } }, accuracies["onnxruntime"]);
  cell.runtimes = Object.fromEntries(
    Object.entries(accuracies).map(([name, accuracy]) => [
      name,
      {
        ...{ accuracy, equalLogits: 1, modelBytes: 1 },
        agreement: { share: name === "onnxruntime" ? 1 : agreement, largestDifference: 0 },
      },
    ]),
  );
  return cell;
}

/** The page of the only cell. */
const pageOf = async (cell: CellResult, title?: string) => {
  const pages = await render([cell], title);
  return [...pages].find(([path]) => path.startsWith("cells/"))?.[1] ?? "";
};

test("a cell's page shows how sensitive its layers are, where that was measured", async () => {
  const cell = completedCell();
  const measured = {
    verdict: "At most 1 points are lost with <b> 8 bits.",
    columns: ["part", "alone: loss"],
    rows: [["stem", "0.4321"]],
    picture: "<svg>ä</svg>",
  };
  const input = { run: EMPTY_RUN, environment: exampleEnvironment, results: [cell] };
  const pageWith = async (sensitivities: ReadonlyMap<string, typeof measured>) => {
    for await (const { path, content } of renderReport({ ...input, sensitivities }))
      if (path.startsWith("cells/")) return content;
    return "";
  };
  const page = await pageWith(new Map([[cellName(cell), measured]]));
  expect(page).toContain("<h2>Sensitivity</h2>");
  expect(page).toContain("lost with &lt;b&gt; 8 bits");
  expect(page).toContain('<tr><th scope="row">stem<td>0.4321');
  const picture = /src="data:image\/svg\+xml;base64,([^"]+)"/.exec(page)?.[1] ?? "";
  const encoded = picture.replaceAll("&#x3D;", "=");
  expect(Buffer.from(encoded, "base64").toString()).toBe(measured.picture);
  expect(await pageWith(new Map([["another cell", measured]]))).not.toContain("Sensitivity");
});

describe("the index", () => {
  test("shows every number, reason and setting, and what was not run", async () => {
    const html = await indexOf([completedCell(), failedCell("out of memory")]);
    for (const text of [
      "87.00",
      "−2.00",
      "99.99",
      "0.123",
      "0.49", // latency over that of float
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

  test("says what family an algorithm belongs to, where there are several", async () => {
    const results = ["lsq", "haq"].map((name) =>
      completedCell({ algorithm: { name, version: 1 } }),
    );
    const run = { ...EMPTY_RUN, families: { lsq: "quantization", haq: "mixed precision" } };
    const pages = new Map<string, string>();
    const input = { run, environment: exampleEnvironment, results };
    for await (const { path, content } of renderReport(input)) pages.set(path, content);
    expect(pages.get("index.html")).toContain("haq<small>mixed precision</small>");
    const page = [...pages].find(([path]) => path.startsWith("cells/") && path.includes("haq"));
    expect(page?.[1]).toContain("Family: mixed precision.");
    expect(await indexOf(results)).not.toContain("haq<small>");
  });

  test("is one file without requests, the same for the same results", async () => {
    const html = await indexOf([completedCell()]);
    expect(html).not.toMatch(/<(?:script|link|img|iframe)[^>]*(?:src|href)="(?!data:)/);
    expect(html).not.toMatch(/@import|url\(/);
    expect(await indexOf([completedCell()])).toBe(html);
  });

  test("names what deployment loses, with the first layer that differs", async () => {
    const low = completedCell({}, 0.85);
    low.accuracy.simulated = 0.8701;
    const [, stem] = low.inspection.sites;
    if (stem !== undefined) stem.differing = 0.01;
    const html = await indexOf([low]);
    expect(html).toContain("85.00 ⚠");
    expect(html).toMatch(
      /<td class="text">onnxruntime<\/td><td>87.01<\/td><td>85.00<\/td><td>−2.01<\/td>.*stem\/kernel/,
    );
    expect(await indexOf([completedCell()])).not.toContain("85.00 ⚠");
  });

  test("names a runtime that agrees little, though onnxruntime equals the simulation", async () => {
    const cell = onDevice("tvm", { onnxruntime: 0.87, integers: 0.86 }, 0.66);
    expect(await indexOf([cell])).toMatch(
      /<td class="text">integer reference<\/td><td>87.01<\/td><td>86.00<\/td><td>−1.01<\/td><td>66.00</,
    );
  });

  test("has the accuracy of the backend's own arithmetic, where that is known", () => {
    const shown = (backend: string, accuracies: Record<string, number>) =>
      accuracyTables([onDevice(backend, accuracies)])[0]?.rows[0]?.entries[0]?.accuracy;
    expect(shown("tvm", { onnxruntime: 0.87, integers: 0.8551 })).toBe("85.51");
    expect(shown("litert", { onnxruntime: 0.87, integers: 0.86, litert: 0.85 })).toBe("85.00");
    expect(shown("onnxruntime", { onnxruntime: 0.87, integers: 0.86 })).toBe("87.00");
    expect(shown("academic", { onnxruntime: 0.87 })).toBe("87.00");
  });

  // 1.645 x sqrt(0.87 x 0.13 / 10000 + 0.89 x 0.11 / 10000) = 0.76 points.
  test("says what to use, and what cannot be told from the best", async () => {
    const other = (deployed: number, name: string) =>
      completedCell({ algorithm: { name, version: 1 } }, deployed);
    const html = await indexOf([completedCell({}, 0.87), other(0.869, "pact"), other(0.6, "dsq")]);
    expect(html).toMatch(
      /<strong>lsq<\/strong><\/td><td [^>]*>W4A4<\/td><td [^>]*>trained<\/td><td [^>]*><a [^>]*>87.00<\/a><\/td><td [^>]*>−2.00 ± 0.76</,
    );
    expect(html).toContain("≈ 86.90"); // 0.10 ± 0.78 points less
    expect(html).not.toContain("≈ 60.00");
  });

  test("leaves a cell that is no better than guessing in the mean, and says so", async () => {
    const html = await indexOf([completedCell({}, 0.105), completedCell({ seed: 1 }, 0.86)]);
    expect(html).toContain("1 of 2 seeds at chance");
    expect(html).toContain("1 completed cells are no better than guessing");
  });
});

describe("a cell's page", () => {
  test("has its result, costs, layers, configuration, file and commands", async () => {
    const cell = completedCell();
    const html = (await pageOf(cell)).replaceAll("&#x3D;", "=");
    for (const text of [
      cell.id,
      "87.00",
      "18.5", // SQNR of the stem
      "QLinearConv",
      "mpic: modelled energy",
      "batch norm reads it",
      "hyperparameters: quantized training: learning rate",
      "--only algorithm=lsq --only backend=onnxruntime --only model=resnet8 --only bits=w4a4 --only seed=0",
      `quantbench verify results/runs/test --cell ${cell.id.slice(0, 12)}`,
      `resnet8-w8--lsq--onnxruntime--w4a4--seed0--${cell.id.slice(0, 12)}`,
    ]) {
      expect(html).toContain(text);
    }
  });

  test("exists for cells without a number too", async () => {
    expect(await pageOf(failedCell("out of memory"))).toContain("out of memory");
  });
});

test("names and reasons are inert on every page", async () => {
  const attack = `<script>alert("x")</script><img src=x onerror=alert(1)>{{title}}`;
  const cells = [
    failedCell(attack),
    completedCell({ algorithm: { name: attack, version: 1 } }),
    completedCell({ algorithm: { name: attack, version: 1 }, seed: 1 }),
  ];
  for (const [path, html] of await render(cells, attack)) {
    if (!path.endsWith(".html")) continue;
    expect(html, path).not.toContain("<script>alert");
    expect(html, path).not.toContain("<img");
    expect(html, path).toContain("&lt;script&gt;");
  }
});

test("seeds become mean and deviation; failed ones enter no mean and are counted", () => {
  const failed = { ...failedCell("x", { algorithm: { name: "lsq", version: 1 }, seed: 2 }) };
  const [table] = accuracyTables([
    completedCell({}, 0.86),
    completedCell({ seed: 1 }, 0.88),
    failed,
  ]);
  const entry = table?.rows[0]?.entries[0];
  expect(entry?.accuracy).toBe("87 ± 13"); // 12.706 (t, 1 degree of freedom) x 1.414 / 1.414
  expect(entry?.note).toContain("2 of 3 seeds; else failed");
});

test("the terminal table explains what a number does not say", () => {
  const low = completedCell({}, 0.85);
  low.accuracy.simulated = 0.8701;
  const text = renderTerminal([low]);
  expect(text).toMatch(/85.00 \(−4.00\) \*/);
  expect(text).toContain("* lsq on onnxruntime: ⚠ below simulation");
});

test("the terminal table says what is not a number", () => {
  const text = renderTerminal([completedCell(), failedCell("x")]);
  expect(text).toContain("failed");
  expect(text).toContain("87.00 (−2.00)");
});

test("names cannot command a terminal", () => {
  const attack = "\u001b]0;owned\u0007\u009b31m";
  expect(inert(attack)).toBe("\\x1b]0;owned\\x07\\x9b31m");
  const text = renderTerminal([completedCell({ algorithm: { name: attack, version: 1 } })]);
  expect(text).not.toContain("\u001b]0;");
});

test("reasons cannot turn the direction of a page's text, nor do pages hold control characters", async () => {
  const reason = "\u202etxt.exe\u2069 \u0000\u009b";
  expect(inert(reason)).toBe("\\u202etxt.exe\\u2069 \\x00\\x9b");
  for (const [path, text] of await render([completedCell(), failedCell(reason)], reason)) {
    expect(text, path).not.toMatch(/[\p{Bidi_Control}\0\u009b]/u);
    if (path === "index.html") expect(text).toContain("\\u202etxt.exe");
  }
});

test.each([
  [() => points(0.0123), "−1.23"],
  [() => points(-0.001), "+0.10"],
  [() => points(0), "±0.00"],
  [() => percentOverSeeds([0.5]), "50.00"],
  [() => prefixed(12_502_000), "12.5 M"],
  [() => prefixed(999.9), "1 k"],
  [() => prefixed(7), "7"],
  [() => String(digitsFor(0.7)), "2"],
  [() => String(digitsFor(3.4)), "1"],
  [() => String(digitsFor(28)), "0"],
  [() => bytes(84216), "82.2 KiB"],
  [() => bytes(512), "512 B"],
])("%s", (format, expected) => {
  expect(format()).toBe(expected);
});
