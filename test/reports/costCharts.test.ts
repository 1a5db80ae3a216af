import { expect, test } from "vitest";
import { costCharts } from "../../reports/costCharts.js";
import type { CompletedCell } from "../../results/schema.js";
import { completedCell } from "../results/examples.js";

type Hardware = CompletedCell["cost"]["quantized"]["hardware"];

/** A cell of an algorithm with an accuracy, and what hardware models say of it. */
function cellOf(name: string, accuracy: number, hardware: Hardware, stored?: number) {
  const cell = completedCell({ algorithm: { name, version: 1 } }, accuracy);
  const { size, cost } = cell;
  return {
    ...cell,
    size:
      stored === undefined ? size : { ...size, stored: { format: "f", bytes: stored, weights: 9 } },
    cost: { ...cost, quantized: { ...cost.quantized, hardware } },
  };
}

const mapping = (energyDelay: number) => ({
  ...{ millisecondsOfOneImage: 1, microjoulesWithoutSums: 1, energyDelay, fixedEnergyDelay: 9 },
});

const charts = (cells: readonly CompletedCell[]) => {
  const [found] = costCharts(cells);
  const named = (svg: string) => /aria-label="([^"]*)"/.exec(svg)?.[1] ?? "";
  return {
    pictures: found?.pictures.map(({ svg }) => svg) ?? [],
    modelled: new Map(
      found?.modelled.map(({ svg }) => [/against (.*?)\./.exec(named(svg))?.[1], svg]),
    ),
  };
};

test("there is a chart of all that each hardware model says, and of nothing else", () => {
  const { modelled } = charts([
    cellOf("lsq", 0.9, {
      chunks: { cycles: 100, microjoules: 5, mapping: mapping(0.7) },
      serial: { cycles: 40 },
    }),
    cellOf("nasa", 0.91, {
      chunks: { cycles: 90, microjoules: 4, mapping: mapping(0.3) },
      serial: { unsupported: "it has no shifts" },
    }),
    cellOf("pact", 0.7, { chunks: { cycles: 95, microjoules: 6, mapping: mapping(0.5) } }),
  ]);
  expect([...modelled.keys()]).toEqual([
    "cycles on chunks",
    "microjoules on chunks",
    "microjoules × milliseconds on chunks",
    "cycles on serial",
  ]);
  const delay = modelled.get("microjoules × milliseconds on chunks");
  expect(delay).toMatch(/on the front: nasa, onnxruntime, W4A4"/);
  expect(delay).toContain("microjoules × milliseconds on chunks 0.7, accuracy, % 90.00");
  expect(modelled.get("cycles on serial")).toMatch(/1 points; on the front: lsq/);
});

test("weights in a compressed form count the bytes of that form", () => {
  const [size] = charts([cellOf("smartDeal", 0.9, {}, 1234)]).pictures;
  expect(size).toContain("bytes of weights 1.23 k,");
});

test("no label lies on the axis below", () => {
  const { pictures } = charts([cellOf("best", 0.9, {}, 1000), cellOf("worst", 0.8, {}, 1500)]);
  const places = [...(pictures[0] ?? "").matchAll(/<text[^>]* y="([\d.]+)"[^>]*>worst/g)];
  expect(places).toHaveLength(1);
  for (const [, y] of places) expect(Number(y)).toBeLessThan(380);
});
