import { describe, expect, test } from "vitest";
import { lossMaps, standaloneMap } from "../../reports/lossMap.js";
import { accuracyTables } from "../../reports/summary.js";
import type { CellResult } from "../../results/schema.js";
import { cellConfig, completedCell } from "../results/examples.js";

const ALGORITHMS = ["lsq", "pact", "dsq", "tqt", "qil", "minMax"];
const BACKENDS = ["academic", "tensorrt", "acl", "tvm", "snpe", "fbgemm"];

/** Losses grow with the algorithm's place and, ten times as fast, with the backend's; float has 89 %. */
const cells = (algorithms = ALGORITHMS, backends = BACKENDS): CellResult[] =>
  algorithms.flatMap((algorithm, a) =>
    backends.map((backend, b) =>
      completedCell(
        { algorithm: { name: algorithm, version: 1 }, backend: { name: backend, version: 1 } },
        0.89 - 0.001 * a - 0.01 * b,
      ),
    ),
  );
const mapOf = (results: readonly CellResult[]) => lossMaps(accuracyTables(results))[0]?.svg ?? "";
const textsOf = (svg: string) =>
  [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, content]) => content);

describe("the map of losses", () => {
  test("has the best algorithm first, the easiest backend first, and points in each square", () => {
    // The order of the results must not matter.
    const texts = textsOf(mapOf(cells().toReversed()));
    expect(texts.slice(0, 6)).toEqual(BACKENDS);
    const rows = Array.from({ length: 6 }, (_, row) => texts.slice(6 + 7 * row, 13 + 7 * row));
    expect(rows[0]).toEqual(["lsq", "0.0", "1.0", "2.0", "3.0", "4.0", "5.0"]);
    expect(rows[5]).toEqual(["minMax", "0.5", "1.5", "2.5", "3.5", "4.5", "5.5"]);
  });

  test("colors by the root of the loss up to 20 points, and says all to who cannot see it", () => {
    const bad = completedCell({ algorithm: { name: "lsq", version: 1 } }, 0.1);
    const [first, ...others] = cells();
    const svg = mapOf([...(first ? [first] : []), ...others, bad]);
    expect(svg).toContain('style="--heat:1.00"');
    expect(svg).toContain('style="--heat:0.22"'); // 1 point: sqrt(1 / 20)
    expect(svg).toMatch(/aria-label="lsq on tensorrt: 88.00 %, −1.00 points"/);
    expect(svg).toMatch(/<a href="cells\/[^"]+\.html"/);
  });

  test("shows what a backend cannot hold, without a color", () => {
    const config = cellConfig({
      ...{ algorithm: { name: "apot", version: 1 }, backend: { name: "tvm", version: 1 } },
    });
    const refused: CellResult = { id: "f".repeat(64), config, state: "unsupported", reason: "no" };
    const svg = mapOf([...cells(), refused]);
    expect(textsOf(svg)).toContain("×");
    expect(svg).toMatch(/apot on tvm: unsupported/);
    expect(textsOf(svg).at(-7)).toBe("apot"); // what has no number comes last
  });

  test("has in italics what a backend or an algorithm has at other bits only, and says which", () => {
    const tvm = { algorithm: { name: "apot", version: 1 }, backend: { name: "tvm", version: 1 } };
    const refused: CellResult = {
      ...{ id: "f".repeat(64), config: cellConfig(tvm), state: "unsupported", reason: "no" },
    };
    const wide = completedCell({ ...tvm, bits: { weights: 8, activations: 8 } }, 0.887);
    const lsqToo = { ...tvm, algorithm: { name: "lsq", version: 1 } };
    const better = completedCell({ ...lsqToo, bits: { weights: 8, activations: 8 } }, 0.889);
    const [map] = lossMaps(accuracyTables([...cells(), refused, wide, better]));
    expect([map?.bits, map?.otherBits]).toEqual(["W4A4", "W8A8 (tvm)"]);
    expect(map?.svg).toMatch(/apot on tvm, W8A8: 88.70 %.*class="other">0.3</);
    // What has a number at the map's own bits keeps it.
    expect(map?.svg).toMatch(/lsq on tvm: 86.00 %/);
  });

  test("is not drawn of few algorithms, few backends or few of their places", () => {
    expect(lossMaps(accuracyTables(cells(ALGORITHMS.slice(1))))).toEqual([]);
    expect(lossMaps(accuracyTables(cells(ALGORITHMS, BACKENDS.slice(1))))).toEqual([]);
    expect(lossMaps(accuracyTables(cells().filter((_, i) => i % 7 === 0 || i < 6)))).toEqual([]);
  });

  test("stands alone as a file", () => {
    const svg = standaloneMap(mapOf(cells()));
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" [^>]*viewBox[^>]*><style>/);
    expect(svg).toMatch(/prefers-color-scheme: dark/);
    expect(svg).not.toMatch(/url\(|<script|@import/);
  });
});
