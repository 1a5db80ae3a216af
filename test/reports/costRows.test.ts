import { expect, test } from "vitest";
import { costsOf } from "../../reports/costRows.js";
import { networkCostSchema } from "../../results/costSchema.js";
import { completedCell } from "../results/examples.js";

test("a cell shows shifts and differences, and what the best mapping of layers gains", () => {
  const cell = completedCell();
  const mapping = {
    ...{ millisecondsOfOneImage: 0.5, microjoulesWithoutSums: 2.5 },
    ...{ energyDelay: 0.75, fixedEnergyDelay: 1.5 },
  };
  const nasaChunks = { cycles: 62_500, milliseconds: 0.25, microjoules: 3, mapping };
  const quantized = networkCostSchema.parse({
    ...cell.cost.quantized,
    ...{ macs: 400, shifts: 500, differences: 100 },
    hardware: { ...cell.cost.quantized.hardware, nasaChunks },
  });
  const rows = costsOf({ ...cell, cost: { ...cell.cost, quantized } });
  const shown = new Map(rows.map((row) => [row.name, row.quantized]));
  expect(rows.find(({ name }) => name === "shifts")).toMatchObject({
    float: "0",
    quantized: "500",
  });
  expect(shown.get("differences")).toBe("100");
  expect(shown.get("nasaChunks: modelled energy")).toBe("3.00 µJ");
  expect(shown.get("nasaChunks: modelled energy without adding up")).toBe("2.50 µJ");
  expect(shown.get("nasaChunks: energy times delay, best mapping")).toBe("0.750 µJ ms");
  expect(shown.get("nasaChunks: energy times delay, fixed mapping")).toBe("1.50 µJ ms");
  expect(shown.get("nasaChunks: modelled latency of an image alone")).toMatch(/0\.5/);
  // A network of multiplications has no such rows.
  expect(costsOf(cell).map(({ name }) => name)).not.toContain("shifts");
  expect(costsOf(cell).filter(({ name }) => name.includes("energy times"))).toEqual([]);
});
