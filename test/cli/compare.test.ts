import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { CellResult } from "../../results/schema.js";
import { quantbench, temporary } from "./quantbench.js";

test("runs of different recipes are compared only by who says so, and never without a word", async () => {
  const other = join(await temporary(), "other");
  await cp("results/reference", other, { recursive: true });
  for (const file of await readdir(join(other, "cells"))) {
    const path = join(other, "cells", file);
    const cell = JSON.parse(await readFile(path, "utf8")) as CellResult;
    cell.config.hyperparameters.trainImages = 640;
    await writeFile(path, JSON.stringify(cell));
  }
  const refused = await quantbench(["compare", "results/reference", other]);
  expect(refused.code).not.toBe(0);
  expect(refused.stdout).toBe("");
  expect(refused.stderr).toMatch(/hyperparameters: train images: – -> 640/);
  const compared = await quantbench(["compare", "results/reference", other, "--across-recipes"]);
  expect(compared.code).toBe(0);
  expect(compared.stdout).toMatch(/configuration: {2}hyperparameters: train images: – -> 640/);
  expect(compared.stdout).toMatch(/32 in both: 32 identical/);
});
