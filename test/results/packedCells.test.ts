import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import { basename, join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { describe, expect, test } from "vitest";
import { PACKED_CELLS, packCells, unpackCells } from "../../results/packedCells.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { completedCell, failedCell } from "./examples.js";

const cells = [completedCell(), failedCell("a\nreason, “quoted”"), completedCell({ seed: 1 })];

/** A file of these lines, whose checksum is right. */
function fileOf(lines: readonly string[], head: object = {}): Uint8Array {
  const text = lines.map((line) => `${line}\n`).join("");
  const sha256 = createHash("sha256").update(text).digest("hex");
  const first = { format: "quantbench cells", version: 1, cells: lines.length, sha256, ...head };
  return brotliCompressSync(`${JSON.stringify(first)}\n${text}`);
}
const line = (cell: unknown) => JSON.stringify(cell);

test("cells are unpacked as they were packed, to the same bytes every time", () => {
  const file = packCells(cells);
  expect(unpackCells(file)).toEqual(cells);
  expect(packCells(cells)).toEqual(file);
  expect(unpackCells(packCells([]))).toEqual([]);
});

test("the file is what its description says: Brotli, a line about the rest, a line a cell", () => {
  const [head = "", ...rest] = brotliDecompressSync(packCells(cells)).toString().split("\n");
  expect(JSON.parse(head)).toMatchObject({ format: "quantbench cells", version: 1, cells: 3 });
  expect(rest).toEqual([...cells.map(line), ""]);
  expect(unpackCells(fileOf(cells.map(line)))).toEqual(cells);
});

describe("what is not such a file is refused, with the reason:", () => {
  const [first = completedCell()] = cells;
  const altered = { ...first, accuracy: { float: 2, simulated: 0, deployed: 0 } };
  const flipped = packCells(cells);
  const middle = Math.floor(flipped.length / 2);
  flipped[middle] = (flipped[middle] ?? 0) ^ 1;
  test.each<[string, Uint8Array, RegExp]>([
    ["no Brotli", Buffer.from("{}"), /it is damaged/],
    ["cut off", packCells(cells).subarray(0, 500), /it is damaged/],
    ["a bit flipped", flipped, /it is damaged|its checksum is wrong|not JSON/],
    ["empty", brotliCompressSync(""), /its first line is not JSON/],
    ["other JSON", brotliCompressSync('{"cells":1}\n'), /not that of a file of cells/],
    ["a later version", fileOf([], { version: 2 }), /not that of a file of cells/],
    ["altered", fileOf([line(altered)], { sha256: "0" }), /its checksum is wrong/],
    ["no JSON", fileOf([line(first), "{"]), /cell 2 is not JSON/],
    ["no result", fileOf([line(first), line(altered)]), /cell 2: accuracy\.float: .*<=1/],
    ["a field more", fileOf([line({ ...first, more: 1 })]), /cell 1: .*more/],
    ["fewer cells", fileOf([line(first)], { cells: 2 }), /it has 1 cells, not 2/],
    ["one twice", fileOf([line(first), line(first)]), /a cell more than once/],
  ])("%s", (_, file, message) => {
    expect(() => unpackCells(file)).toThrow(message);
  });

  test("a small file of very many bytes, before they are all there", () => {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 1 };
    const bomb = brotliCompressSync(new Uint8Array(2 ** 28 + 1), { params });
    expect(bomb.length).toBeLessThan(2 ** 16);
    expect(() => unpackCells(bomb)).toThrow(/more than 268435456 bytes/);
  });
});

test("the committed results take at most 10 kB a cell", async () => {
  const sizes: number[] = [];
  for (const entry of await readdir("results", { withFileTypes: true })) {
    const file = join("results", entry.name, PACKED_CELLS);
    if (!entry.isDirectory() || entry.name === "runs" || !existsSync(file)) continue;
    const content = await readFile(file);
    sizes.push(content.length / unpackCells(content).length);
  }
  expect(sizes.length).toBeGreaterThan(0);
  expect(Math.max(...sizes)).toBeLessThan(10_000);
});

describe("a run directory", () => {
  const temporary = async () =>
    new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-packed-")));

  test("has packed cells as if each had its file; what has one counts more", async () => {
    const directory = await temporary();
    await directory.writePacked(cells);
    expect([...(await directory.readCells()).values()]).toEqual(cells);
    const [first = completedCell()] = cells;
    const again = { ...failedCell("anew"), id: first.id, config: first.config };
    await directory.create();
    await directory.writeCell(again);
    const read = await directory.readCells();
    expect(read.size).toBe(cells.length);
    expect(read.get(first.id)).toEqual(again);
    await expect(directory.writePacked(cells)).rejects.toThrow(/has results already/);
  });

  test("names the file that is damaged", async () => {
    const directory = await temporary();
    await writeFile(join(directory.path, PACKED_CELLS), "x");
    await expect(directory.readCells()).rejects.toThrow(/cells\.jsonl\.br: it is damaged/);
  });

  test("keeps a result inside, whatever names it has", async () => {
    const directory = await temporary();
    await directory.create();
    const { model } = completedCell().config;
    const hostile = completedCell({ model: { ...model, name: "../../../outside" } });
    await expect(directory.writeCell(hostile)).rejects.toThrow(
      /has a character that names may not/,
    );
    expect(cellName(hostile)).toBe(basename(cellName(hostile)));
    expect(await readdir(join(directory.path, "cells"))).toEqual([]);
  });
});
