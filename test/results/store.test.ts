import { mkdtemp, readdir, writeFile } from "node:fs/promises";
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
