import { mkdtemp, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { encodeCorrect } from "../../results/correctImages.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { accuracyCsv, latencyCsv } from "../../results/csv.js";
import { RunDirectory } from "../../results/store.js";
import { completedCell, failedCell } from "./examples.js";

let directory = new RunDirectory("");
beforeEach(async () => {
  directory = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-store-")));
  await directory.create();
});

test("a cell is read as it was written", async () => {
  const cells = [completedCell(), failedCell("because"), completedCell({ seed: 1 })];
  for (const cell of cells) await directory.writeCell(cell);
  const read = await directory.readCells();
  expect(read.size).toBe(3);
  for (const cell of cells) expect(read.get(cell.id)).toEqual(cell);
});

test("an invalid result is not written", async () => {
  const invalid = completedCell();
  invalid.agreement.largestDifference = NaN;
  await expect(directory.writeCell(invalid)).rejects.toThrow(/largestDifference/);
  expect((await directory.readCells()).size).toBe(0);
});

test("leftovers of a killed write are not read, and none stay after a write", async () => {
  await directory.writeCell(completedCell());
  const cells = join(directory.path, "cells");
  await writeFile(join(cells, "half.json.123456"), "{");
  expect((await directory.readCells()).size).toBe(1);
  expect((await readdir(cells)).filter((file) => !file.endsWith(".json"))).toEqual([
    "half.json.123456",
  ]);
});

test("what a write left that was killed an hour ago is removed, and nothing else", async () => {
  const cells = join(directory.path, "cells");
  const hour = 3600;
  const ages = { "a.json.1-0.tmp": 2 * hour, "b.json.2-0.tmp": 60, "c.json": 2 * hour };
  for (const [name, age] of Object.entries(ages)) {
    await writeFile(join(cells, name), "{");
    await utimes(join(cells, name), Date.now() / 1000 - age, Date.now() / 1000 - age);
  }
  await directory.create();
  expect((await readdir(cells)).toSorted()).toEqual(["b.json.2-0.tmp", "c.json"]);
});

describe("what was written is verified", () => {
  const run = { name: "x", title: "X", command: "c", deviations: {}, notes: {}, cells: ["1", "2"] };

  test("a changed digit anywhere in a cell or in run.json is found", async () => {
    const cell = completedCell();
    await directory.writeCell(cell);
    await directory.writeRun(run);
    const [name = ""] = await readdir(join(directory.path, "cells"));
    for (const [file, read] of [
      [join(directory.path, "cells", name), () => directory.readCells()],
      [join(directory.path, "run.json"), () => directory.readRun()],
    ] as const) {
      const text = await readFile(file, "utf8");
      const digits = [...text.matchAll(/\d/g)].map(({ index }) => index);
      expect(digits.length).toBeGreaterThan(40);
      for (const place of digits.filter((_, i) => i % 11 === 0)) {
        const digit = String((Number(text[place]) + 1) % 10);
        await writeFile(file, text.slice(0, place) + digit + text.slice(place + 1));
        await expect((async () => read())(), text.slice(place - 20, place + 1)).rejects.toThrow(
          /is damaged: it is not what was written/,
        );
      }
      await writeFile(file, text);
    }
    expect((await directory.readCells()).get(cell.id)).toEqual(cell);
    expect(directory.readRun()).toEqual(run);
  });

  test("a cell of an earlier version has no checksum, and an id that is checked", async () => {
    const cell = completedCell();
    const file = join(directory.path, "cells", "x.json");
    await writeFile(file, JSON.stringify(cell));
    expect((await directory.readCells()).get(cell.id)).toEqual(cell);
    await writeFile(file, JSON.stringify({ ...cell, config: { ...cell.config, seed: 7 } }));
    await expect(directory.readCells()).rejects.toThrow(/x\.json: id: is not the hash/);
  });

  test.each(["../../../PWN", "a\\b", "a\0", "a\u001b[31m", "\u202ecba", ""])(
    "a name that does more than name: %j",
    async (name) => {
      const model = { name, version: 1, width: 8, checksum: "0".repeat(64) };
      const cell = completedCell({ model });
      await writeFile(join(directory.path, "cells", "x.json"), JSON.stringify(cell));
      await expect(directory.readCells()).rejects.toThrow(/x\.json: config\.model\.name: /);
    },
  );

  test("a network's checksum that is a path", async () => {
    const model = { name: "net", version: 1, width: 1, checksum: "../../../etc/passwd" };
    const text = JSON.stringify(completedCell({ model }));
    await writeFile(join(directory.path, "cells", "x.json"), text);
    await expect(directory.readCells()).rejects.toThrow(/config\.model\.checksum: /);
  });

  test("a cell that two files hold", async () => {
    const cell = completedCell();
    await directory.writeCell(cell);
    await writeFile(join(directory.path, "cells", "z.json"), JSON.stringify(cell));
    await expect(directory.readCells()).rejects.toThrow(/holds a cell that another file holds/);
  });
});

describe("a result file that is not valid names itself and the field:", () => {
  test.each([
    ["{", /x\.json is not JSON; delete it to compute it again/],
    ["{}", /x\.json: state: /],
    [JSON.stringify({ ...completedCell(), extra: 1 }), /x\.json: .*extra/],
    [
      JSON.stringify({
        ...completedCell(),
        accuracy: { float: 71.4, simulated: 0.7, deployed: 0.7 },
      }),
      /x\.json: accuracy\.float: .*<=1/,
    ],
  ])("%s", async (text, message) => {
    await writeFile(join(directory.path, "cells", "x.json"), text);
    await expect(directory.readCells()).rejects.toThrow(message);
  });

  // 8,700 of 10,000 are right: the accuracy is 0.87.
  const right = (count: number, images = 10_000) =>
    encodeCorrect(Array.from({ length: images }, (_, i) => i < count));
  test("images that are right are as many as the accuracy says", async () => {
    const cell = completedCell();
    cell.correctImages = { device: right(8700), float: right(8900) };
    await directory.writeCell(cell);
    expect((await directory.readCells()).get(cell.id)).toEqual(cell);
  });
  test.each([
    [{ device: right(8699) }, /device: 8699 of 10000 images are right, but the accuracy is 0.87/],
    [{ device: right(8700), float: right(8899) }, /correctImages\.float: 8899 of/],
    [{ device: right(8700, 20_000) }, /2500 bytes where 10000 images take 1250/],
    [{ device: right(8700).replace("/", "-") }, /not base64/],
  ])("images that are right, case %#", async (correctImages, message) => {
    const text = JSON.stringify({ ...completedCell(), correctImages });
    await writeFile(join(directory.path, "cells", "x.json"), text);
    await expect(directory.readCells()).rejects.toThrow(message);
  });

  test("a directory that is no run", () => {
    expect(() => new RunDirectory(os.tmpdir()).readRun()).toThrow(/run\.json is missing/);
  });
});

describe("tables", () => {
  test("hold one row for each cell; measured values only in latency.csv", () => {
    const results = [completedCell(), failedCell('no, "really"\nnot')];
    const accuracy = accuracyCsv(results);
    expect(accuracy).toContain("resnet8,8,toy,lsq,onnxruntime,4,4,,0,completed");
    expect(accuracy).toContain('"no, ""really""\nnot"');
    expect(accuracy).not.toContain("0.123");
    expect(latencyCsv(results).trim().split("\n")).toHaveLength(2);
    expect(latencyCsv(results)).toContain("0.123");
  });

  test("do not start a cell like a formula", () => {
    expect(accuracyCsv([failedCell("=HYPERLINK(1)")])).toContain("'=HYPERLINK(1)");
  });

  test("tells zeros only where a matrix asks for densities", () => {
    const sparse = completedCell({ variant: { density: 0.2 } });
    sparse.sparsity = {
      ...{ weights: 1000, nonzero: 200, effectiveMacs: 5000, storedBytes: 325 },
      format: "bitmap",
    };
    expect(accuracyCsv([sparse])).toMatch(/,200,5000,325,bitmap,/);
    expect(accuracyCsv([completedCell()])).not.toContain("nonzero_weights");
  });

  test("do not depend on what was measured", () => {
    const slow = completedCell();
    slow.measured.latency.quantized.medianMs = 99;
    expect(accuracyCsv([slow])).toBe(accuracyCsv([completedCell()]));
  });
});

test("the canonical hash ignores the order of keys and refuses NaN", () => {
  expect(canonicalHash({ a: 1, b: [2] })).toBe(canonicalHash({ b: [2], a: 1 }));
  expect(canonicalHash({ a: 1 })).not.toBe(canonicalHash({ a: 2 }));
  expect(() => canonicalHash({ a: NaN })).toThrow();
});
