import { join } from "node:path";
import { expect, test } from "vitest";
import { canonicalHash } from "../../results/canonicalHash.js";
import { RunDirectory } from "../../results/store.js";
import { quantbench, temporary } from "./quantbench.js";

test("runs of different recipes are compared only by who says so, and never without a word", async () => {
  const other = join(await temporary(), "other");
  const copy = await quantbench(["bundle", "results/reference", "--out", other]);
  expect(copy.code, copy.stderr).toBe(0);
  const directory = new RunDirectory(other);
  const changed = [...(await directory.readCells()).values()];
  for (const cell of changed) {
    cell.config.hyperparameters.trainImages = 640;
    cell.id = canonicalHash(cell.config);
  }
  await directory.writePacked(changed);
  await directory.writeRun({ ...directory.readRun(), cells: changed.map(({ id }) => id) });
  const refused = await quantbench(["compare", "results/reference", other]);
  expect(refused.code).not.toBe(0);
  expect(refused.stdout).toBe("");
  expect(refused.stderr).toMatch(/hyperparameters: train images: – -> 640/);
  const compared = await quantbench(["compare", "results/reference", other, "--across-recipes"]);
  expect(compared.code).toBe(0);
  expect(compared.stdout).toMatch(/configuration: {2}hyperparameters: train images: – -> 640/);
  expect(compared.stdout).toMatch(/34 in both: 34 identical/);
});
