import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { sensitivityFile, writeReport } from "../../../benchmarks/stored/index.js";
import { sealed } from "../../../results/sealedJson.js";
import { cellName, RunDirectory } from "../../../results/store.js";
import { completedCell, exampleEnvironment } from "../../results/examples.js";

const behavior = { images: 200, accuracy: 0.875, loss: 0.4, sqnr: 12 };
const twice = { simulated: behavior, deployed: behavior };
const raised = { layers: {}, bitOps: 1000, behavior };
const measured = {
  ...{ asked: { images: 200, mostLost: 0.01 }, judges: { images: 200, areLabeled: true } },
  ...{ inFloat: behavior, quantized: twice },
  ranking: [{ layer: "stem", kind: "layer", sites: ["stem"], alone: twice, without: twice }],
  target: {
    ...{ tried: [raised], chosen: raised, mostLost: 0.01 },
    verified: { chosen: behavior, inFloat: behavior, quantized: behavior },
  },
};

test("measured sensitivities are on a cell's page, and damaged ones are refused", async () => {
  const directory = new RunDirectory(await mkdtemp(join(tmpdir(), "quantbench-")));
  const cell = completedCell();
  await directory.create();
  await directory.writeCell(cell);
  await directory.writeEnvironment(exampleEnvironment);
  await directory.writeRun({
    ...{ name: "run", title: "run", command: "quantbench run", cells: [cell.id] },
    ...{ deviations: {}, notes: {} },
  });
  const page = async () => {
    await writeReport(directory);
    return readFile(join(directory.report, "cells", `${cellName(cell)}.html`), "utf8");
  };
  expect(await page()).not.toContain("87.50");
  const file = `${sensitivityFile(directory, cell)}.json`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, sealed(measured));
  expect(await page()).toContain("87.50");
  await writeFile(file, sealed(measured).replace("0.875", "0.975"));
  await expect(page()).rejects.toThrow(/sensitivity.*holds no sensitivities.*checksum/);
  await writeFile(file, sealed({ some: "thing" }));
  await expect(page()).rejects.toThrow(/holds no sensitivities/);
});
